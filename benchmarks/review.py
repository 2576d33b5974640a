"""The review of labels: the digits with some labels flipped at random, and how many of these head the list.

    python -m benchmarks.review

Two sets of features: the 64 pixels themselves, and those of the committed params. The bound holds for every seed.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.datasets import load_digits

from benchmarks import results
from tasks.calibration.label_errors import estimate_errors, margins
from tasks.review.dataset import Dataset, read_dataset
from tasks.review.ranking.neighbours import Indices, find_neighbours
from tasks.review.ranking.probabilities import Probabilities, count_votes, predict_held_out
from tasks.review.ranking.vectors import training_vectors, unit_vectors
from tasks.review.stage import NEIGHBOURS
from tasks.review.suspects import estimate_probabilities

ROOT = Path(__file__).parents[1]
PACKAGES = ["scikit-learn", "numpy"]
FLIPPED = 0.02
LISTED = 0.04
BOUND = 0.8
SEEDS = range(5)


def make_datasets(folder: Path) -> Iterator[tuple[str, Dataset]]:
    """Run the chain up to the features in `folder` and yield the digits with their features, and with their pixels."""
    commands = (
        ("tasks.sample", "--out", "digits"),
        ("tasks.dataset", "--images", "digits", "--corrections", "corrections.csv", "--out", "manifest.parquet"),
        ("tasks.validation", "--images", "digits", "--manifest", "manifest.parquet", "--out", "validation"),
        ("tasks.backbone", "--out", "backbone"),
        (
            *("tasks.features", "--images", "digits", "--accepted", "validation/accepted.parquet"),
            *("--backbone", "backbone/backbone.onnx", "--out", "features.parquet"),
        ),
    )
    (folder / "corrections.csv").write_text("sha256,action,label,path\n", encoding="utf-8")
    for module, *arguments in commands:
        paths = [argument if argument.startswith("--") else str(folder / argument) for argument in arguments]
        subprocess.run([sys.executable, "-m", module, *paths], cwd=ROOT, check=True)
    dataset = read_dataset(folder / "features.parquet", folder / "validation" / "accepted.parquet")
    numbers = [int(Path(path).stem) for path in dataset.paths]
    yield "pixels", dataset._replace(units=unit_vectors(load_digits().data[numbers].astype(np.float32)))
    yield "MobileNet, starter weights", dataset


def flip(dataset: Dataset, seed: int) -> tuple[Dataset, Indices]:
    """Return the dataset with FLIPPED of the labels replaced by other ones, and the rows of these."""
    random = np.random.default_rng(seed)
    count = len(dataset.labels)
    rows = np.sort(random.choice(count, round(FLIPPED * count), replace=False))
    labels = dataset.labels.copy()
    classes = len(dataset.classes)
    labels[rows] = (labels[rows] + random.integers(1, classes, len(rows))) % classes
    return dataset._replace(labels=labels), rows


def share_listed(probabilities: Probabilities, labels: Indices, flipped: Indices) -> float:
    """Return the share of the flipped labels in the first LISTED of the list, by margin."""
    order = np.argsort(margins(probabilities, labels), kind="stable")
    return float(np.isin(flipped, order[: round(LISTED * len(labels))]).mean())


def measure(name: str, dataset: Dataset) -> Iterator[tuple[str, ...]]:
    """Yield a row for each seed, and one of means."""
    rows = np.arange(len(dataset.labels))
    figures = list[tuple[float, ...]]()
    for seed in SEEDS:
        flipped_dataset, flipped = flip(dataset, seed)
        labels, count = flipped_dataset.labels, len(dataset.classes)
        start = time.perf_counter()
        neighbours = find_neighbours(dataset.units, rows, rows, dataset.groups, NEIGHBOURS)
        probabilities = estimate_probabilities(flipped_dataset, neighbours)
        seconds = time.perf_counter() - start
        model = predict_held_out(training_vectors(dataset.units), labels, dataset.groups, count)
        votes = count_votes(neighbours.rows, labels, count)
        shares = [share_listed(each, labels, flipped) for each in (probabilities, model, votes)]
        figures.append((*shares, estimate_errors(probabilities, labels), len(flipped), seconds))
        yield name, str(seed), *_texts(figures[-1])
    yield name, "mean", *_texts(tuple(map(mean, zip(*figures, strict=True))))


def _texts(figures: tuple[float, ...]) -> tuple[str, ...]:
    *shares, estimate, flipped, seconds = figures
    bold, *others = (f"{share:.1%}" for share in shares)
    return f"**{bold}**", f"{BOUND:.0%}", *others, f"{estimate:.0f}", f"{flipped:.0f}", f"{seconds:.1f}"


def main() -> None:
    """Measure and renew the section of RESULTS.md."""
    with TemporaryDirectory() as folder:
        rows = [row for name, dataset in make_datasets(Path(folder)) for row in measure(name, dataset)]
    columns = (
        *("features", "seed", f"flipped labels in the first {LISTED:.0%} of the list", "bound", "by the model alone"),
        *("by neighbours alone", "estimated number", "flipped", "s"),
    )
    title = f"Review: 1,797 digits, {FLIPPED:.0%} of the labels flipped"
    results.renew(title, columns, rows, PACKAGES)


if __name__ == "__main__":
    main()
