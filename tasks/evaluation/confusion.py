"""Confusion of classes: which are taken for which, and in what order they lie close to those they are confused with."""

from typing import NamedTuple

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from tasks.evaluation.test_set import Indices, TestSet


class Pair(NamedTuple):
    """The test images of the class `actual` that are recognised as `predicted`, both numbers of classes.

    `images` are their positions in the test set, the most confident prediction first.
    """

    actual: int
    predicted: int
    images: list[int]

    @property
    def is_right(self) -> bool:
        """Whether the images are recognised as what they are."""
        return self.actual == self.predicted


class Confusion(NamedTuple):
    """All pairs that have images: mistakes first, those of more images before those of fewer.

    `counts`, int64 [C, C], has a row for each class of the labels and a column for each predicted class.
    """

    counts: Indices
    pairs: list[Pair]

    @property
    def mistakes(self) -> list[Pair]:
        """The pairs of two different classes."""
        return [pair for pair in self.pairs if not pair.is_right]


def measure_confusion(test: TestSet) -> Confusion:
    """Sort the images of a test set by their class and the predicted one."""
    counts = np.zeros((len(test.classes), len(test.classes)), np.int64)
    np.add.at(counts, (test.actual, test.predicted), 1)
    images: dict[tuple[int, int], list[int]] = {}
    for position in np.argsort(-test.confidences, kind="stable").tolist():
        images.setdefault((int(test.actual[position]), int(test.predicted[position])), []).append(position)
    pairs = [Pair(*key, positions) for key, positions in images.items()]
    pairs.sort(key=lambda pair: (pair.is_right, -len(pair.images), pair.actual, pair.predicted))
    return Confusion(counts, pairs)


def order_classes(counts: Indices) -> list[int]:
    """Return the numbers of the classes of a matrix of counts, [C, C], those that are confused next to each other.

    It is the order of the leaves of a hierarchical clustering (average linkage), where two classes are close if large
    shares of their images are taken for the other, turned so that neighbours are close (Z. Bar-Joseph, D. Gifford and
    T. Jaakkola, Bioinformatics 17, 2001).
    """
    classes = len(counts)
    if classes <= 2:  # noqa: PLR2004  there is nothing to order
        return list(range(classes))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    distances = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distances, 0)
    tree = hierarchy.linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
    return [int(leaf) for leaf in hierarchy.leaves_list(tree)]
