"""Rows of classes that lie apart, for the tests of the head."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.head.rows import Rows
from tasks.tables.features import Features, Tap


def blobs(
    counts: Sequence[int], width: int = 6, seed: int = 0, apart: float = 2.0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return features of classes of these sizes and their class numbers; the centres do not depend on `seed`."""
    targets = np.repeat(np.arange(len(counts)), counts)
    centres = np.random.default_rng(9).normal(scale=apart, size=(len(counts), width))
    noise = np.random.default_rng(seed).normal(size=(len(targets), width))
    return (centres[targets] + noise).astype(np.float32), targets


def make_rows(
    vectors: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], widths: Sequence[int] = (), views: int = 1
) -> Rows:
    """Return rows with so many copies of each image's features as views; every fifth image is for validation."""
    number = len(targets)
    images = np.repeat(np.arange(number), views)
    widths = widths or [vectors.shape[1]]
    return Rows(
        vectors[images],
        targets[images],
        images,
        np.arange(number) * views,
        [None] * number,
        np.arange(number) % 5 > 0,
        [f"class {index}" for index in range(int(targets.max()) + 1)],
        [f"{index}.png" for index in range(number)],
        tuple(Tap(f"tap_{index}", width, (index + 1) / len(widths)) for index, width in enumerate(widths)),
    )


def make_table(
    labels: Sequence[str], splits: Sequence[str], vectors: npt.NDArray[np.float32], widths: Sequence[int] = ()
) -> Features:
    """Return a table of plain images with these labels and splits."""
    widths = widths or [vectors.shape[1]]
    return Features(
        np.array([f"{index}.png" for index in range(len(labels))]),
        np.array(labels),
        np.array(splits),
        np.zeros(len(labels), np.uint16),
        vectors,
        tuple(Tap(f"tap_{index}", width, (index + 1) / len(widths)) for index, width in enumerate(widths)),
    )
