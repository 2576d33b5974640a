"""Small datasets for the tests of the review: clusters of vectors, one a class."""

import hashlib
from collections.abc import Sequence

import numpy as np

from tasks.review.dataset import Dataset
from tasks.review.ranking.neighbours import Neighbours, find_neighbours
from tasks.review.ranking.vectors import unit_vectors

CLASSES = ["ant", "bee", "cat"]
WIDTH = 8


def make_dataset(per_class: int = 30, spread: float = 0.15, seed: int = 0) -> Dataset:
    """Return images around one direction a class, in files CLASS/NUMBER.png; every fourth is a test image."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    vectors = np.eye(WIDTH)[labels] + spread * random.standard_normal((len(labels), WIDTH))
    numbers = [number for _ in CLASSES for number in range(per_class)]
    paths = [f"{CLASSES[label]}/{number}.png" for label, number in zip(labels, numbers, strict=True)]
    return Dataset(
        paths,
        ["test" if number % 4 == 3 else "train" for number in numbers],
        [hashlib.sha256(path.encode()).hexdigest() for path in paths],
        CLASSES,
        labels.astype(np.int64),
        np.arange(len(labels)),
        unit_vectors(vectors.astype(np.float32)),
    )


def relabel(dataset: Dataset, rows: Sequence[int]) -> Dataset:
    """Give the images of these rows the next class."""
    labels = dataset.labels.copy()
    labels[list(rows)] = (labels[list(rows)] + 1) % len(dataset.classes)
    return dataset._replace(labels=labels)


def take(dataset: Dataset, rows: Sequence[int]) -> Dataset:
    """Return these rows of the dataset, in this order; the classes stay the same."""
    paths, splits, digests = (
        [texts[row] for row in rows] for texts in (dataset.paths, dataset.splits, dataset.digests)
    )
    chosen = list(rows)
    arrays = dataset.labels[chosen], dataset.groups[chosen], dataset.units[chosen]
    return Dataset(paths, splits, digests, dataset.classes, *arrays)


def search(dataset: Dataset) -> Neighbours:
    """Return the ten nearest images of each image."""
    rows = np.arange(len(dataset.paths))
    return find_neighbours(dataset.units, rows, rows, dataset.groups, 10)
