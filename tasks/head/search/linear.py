"""Linear classifiers in stacks: a model for each setting and each set of row weights, as arrays."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import get_lapack_funcs

# float64, or float32 where candidates are only compared.
Array = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


class Linear(NamedTuple):
    """Kernels [S, M, r, C] and biases [S, M, C] of the classifiers of S settings and M sets of row weights."""

    kernels: Array
    biases: Array


class Sample(NamedTuple):
    """Rows to learn from: coordinates [R, r], class numbers [R], and the number of classes.

    `width` is the number of features that the coordinates stand for, at least r.
    """

    coordinates: Array
    targets: Ints
    classes: int
    width: int

    def indicator(self) -> Array:
        """Return 1 where a row is of a class, [R, C]."""
        return np.eye(self.classes, dtype=self.coordinates.dtype)[self.targets]


def second_moments(rows: Array, weights: Array) -> Array:
    """Return the sums of weight times outer product of rows [R, r] for weights [M, R], [M, r, r].

    The sum over all rows is computed once, and the rows that a model leaves out are subtracted, so that all folds
    together take little longer than one.
    """
    most = weights.max(axis=0)
    total = (rows * most[:, None]).T @ rows
    results = np.empty((len(weights), *total.shape), rows.dtype)
    for model, row_weights in enumerate(weights):
        out = np.flatnonzero(row_weights < most)
        left_out = rows[out]
        results[model] = total - (left_out * (most - row_weights)[out, None]).T @ left_out
    return results


def solve(matrix: Array, sides: Array) -> Array:
    """Return the solution [r, C] for a symmetric positive definite matrix [r, r], or one of least squares."""
    (posv,) = get_lapack_funcs(("posv",), (matrix,))
    _, solution, failure = posv(matrix, sides)
    if failure:
        solution = np.linalg.lstsq(matrix, sides, rcond=None)[0]
    return np.asarray(solution)
