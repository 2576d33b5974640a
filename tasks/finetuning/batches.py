"""Batches of training: the order of an epoch depends on the seed and the epoch's number alone."""

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tasks.common.threads import ordered_map
from tasks.onnx.sessions import Array

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Inputs of the network, [n, ...] each, and one-hot targets, float32 [n, classes]."""

    inputs: list[Array]
    targets: Floats


class Epochs(Protocol):
    """Training rows that come in another order in every epoch."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of the epoch of that number (>= 1)."""


class StoredBatches:
    """Batches of inputs that may be larger than memory, since they are read when they are needed."""

    def __init__(self, inputs: list[Floats], targets: Floats, rows: Ints, batch_size: int, seed: int) -> None:
        """Take `rows` of `inputs`, [N, ...] each, and of the one-hot `targets`, [N, classes]."""
        self._inputs, self._targets, self._rows = inputs, targets, rows
        self._batch_size, self._seed = batch_size, seed

    def __len__(self) -> int:
        """Return the number of batches in an epoch; the last may be smaller."""
        return math.ceil(len(self._rows) / self._batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of the epoch of that number (>= 1)."""
        return self._read(self._rows[epoch_order(len(self._rows), self._seed, number)])

    @property
    def targets(self) -> Floats:
        """The one-hot targets in the order of `in_order`, float32 [n, classes]."""
        return self._targets[self._rows]

    def in_order(self) -> Iterator[Batch]:
        """Yield all rows in their own order."""
        return self._read(self._rows)

    def _read(self, rows: Ints) -> Iterator[Batch]:
        # Sorted, so that a file is read from front to back; within a batch the order does not matter.
        parts = (np.sort(rows[start : start + self._batch_size]) for start in range(0, len(rows), self._batch_size))
        # The next batch is read while the network runs.
        return ordered_map(self._batch, parts, workers=1, ahead=2)

    def _batch(self, rows: Ints) -> Batch:
        return Batch([np.asarray(values[rows]) for values in self._inputs], self._targets[rows])


def epoch_order(count: int, seed: int, epoch: int) -> Ints:
    """Return a permutation of 0 to `count` - 1, the same in every run and whatever was drawn before."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def one_hot(targets: Ints, classes: int) -> Floats:
    """Return class indices, [n], as one-hot rows, float32 [n, classes]."""
    return np.eye(classes, dtype=np.float32)[targets]
