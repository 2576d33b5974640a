"""Linear discriminant analysis with a shrunken covariance."""

from collections.abc import Sequence

import numpy as np

from tasks.head.search.linear import Array, Linear, Sample, second_moments, solve

LEAST = 1e-12
LEAST_SHRINKAGE = 1e-3
# A mean variance of the features within classes counts as none below this.
LEAST_SIZE = 1e-6


def fit(sample: Sample, weights: Array, shrinkages: Sequence[float | None]) -> Linear:
    """Return a discriminant for each shrinkage: 0 is the covariance as it is, 1 a sphere, None Ledoit and Wolf's.

    `weights` [M, R] weigh the rows, 0 leaves them out. The weight of a class is not among them: its logarithm is added
    to the bias of the class (`fitting.fit`). Sources: Friedman 1989, Regularized Discriminant Analysis; Ledoit and Wolf
    2004, A well-conditioned estimator for large-dimensional covariance matrices.
    """
    rows, indicator = sample.coordinates, sample.indicator()
    kernels = np.empty((len(shrinkages), len(weights), rows.shape[1], sample.classes), rows.dtype)
    biases = np.empty((len(shrinkages), len(weights), sample.classes), rows.dtype)
    moments = second_moments(rows, weights)
    for model, row_weights in enumerate(weights):
        weighted = indicator * row_weights[:, None]
        counts = weighted.sum(axis=0)
        means = weighted.T @ rows / np.maximum(counts, LEAST)[:, None]
        covariance = (moments[model] - (means * counts[:, None]).T @ means) / counts.sum()
        size = float(np.trace(covariance)) / sample.width
        # With one image a class there is no spread, and the nearest mean decides.
        size = size if size > LEAST_SIZE else 1.0
        offsets = np.log(np.maximum(counts / counts.sum(), LEAST))
        own_share = _ledoit_wolf(_distances(sample, means), row_weights, covariance, size, sample.width)
        for setting, shrinkage in enumerate(shrinkages):
            share = own_share if shrinkage is None else shrinkage
            shrunken = (1 - share) * covariance
            shrunken.flat[:: len(shrunken) + 1] += share * size
            kernels[setting, model] = kernel = solve(shrunken, means.T)
            biases[setting, model] = offsets - 0.5 * np.einsum("cr,rc->c", means, kernel)
    return Linear(kernels, biases)


def _distances(sample: Sample, means: Array) -> Array:
    """Return the squared distance of each row from the mean of its class, [R]."""
    rows = sample.coordinates
    products = np.take_along_axis(rows @ means.T, sample.targets[:, None], axis=1)[:, 0]
    lengths = np.einsum("rd,rd->r", rows, rows)
    return np.asarray(lengths - 2 * products + np.sum(means**2, axis=1)[sample.targets])


def _ledoit_wolf(distances: Array, weights: Array, covariance: Array, size: float, width: int) -> float:
    """Return the shrinkage that has the least expected squared error, from the squared `distances` [R] of the rows."""
    total = weights.sum()
    squared = np.sum(covariance**2)
    gap = squared - width * size**2
    spread = (weights @ distances**2 / total - squared) / total
    return float(np.clip(spread / gap, LEAST_SHRINKAGE, 1)) if gap > 0 else 1.0
