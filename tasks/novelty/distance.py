"""A Mahalanobis distance to the training images in the space of their features.

Lee et al. 2018 (arXiv 1807.03888, section 2) fit a Gaussian of one covariance to each class; Mueller and Hein 2025,
"Mahalanobis++" (arXiv 2505.18032), bring every vector to unit length before. Here the vector of each tap is.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh, qr
from sklearn.covariance import ledoit_wolf_shrinkage

Array = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

RANK = 256
"""Directions whose variance is fitted by itself; the others share one, so that the graph stays small."""
LEAST_LENGTH = 1e-12
LEAST_SHARE = 1e-6
"""Of the mean variance: a direction without variance would make every other picture infinitely far."""


class Distance(NamedTuple):
    """The parameters of the distance, for D features of taps with these widths, C classes and k directions.

    `centre` [D] is the mean of normalised features, `directions` [D, k] are orthonormal, `scales` [k] are 1 / standard
    deviation along them, `means` [k, C] the class means in these units, and `rest` is 1 / variance of what remains.
    """

    widths: tuple[int, ...]
    centre: Array
    directions: Array
    scales: Array
    means: Array
    rest: float

    def measure(self, features: Array) -> Array:
        """Return the squared distance of each vector to the nearest class, [n]; `features` are [n, D]."""
        centred = normalise(features, self.widths) - self.centre
        along = centred @ self.directions
        remainder = np.sum((centred - along @ self.directions.T) ** 2, axis=1)
        scaled = along * self.scales
        to_classes = (scaled**2).sum(1)[:, None] - 2 * scaled @ self.means + (self.means**2).sum(0)
        return np.asarray(np.maximum(to_classes.min(axis=1), 0) + remainder * self.rest)


def normalise(features: Array, widths: Sequence[int]) -> Array:
    """Return the features, [n, D], with the vector of each tap at unit length; a vector of zeros stays."""
    starts = np.cumsum([0, *widths])
    parts = [features[:, start:end].astype(np.float64) for start, end in pairwise(starts)]
    return np.concatenate(
        [part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), LEAST_LENGTH) for part in parts], axis=1
    )


def fit_distance(features: Array, targets: Ints, widths: Sequence[int]) -> Distance | None:
    """Return the distance for training images, or None if their features do not vary within the classes.

    Args:
        features: of n training images, [n, D], as the taps give them.
        targets: class numbers, [n].
        widths: of the taps, whose sum is D.
    """
    vectors = normalise(features, widths)
    centre = vectors.mean(axis=0)
    vectors = vectors - centre
    present, positions = np.unique(targets, return_inverse=True)
    counts = np.bincount(positions)
    means = np.stack([vectors[positions == index].mean(axis=0) for index in range(len(present))])
    residuals = vectors - means[positions]
    freedom = len(vectors) - len(present)
    total = float((residuals**2).sum())
    if freedom < 1 or total <= LEAST_SHARE * float((vectors**2).sum()) or not counts.any():
        return None
    variances, axes = _principal_axes(residuals, min(RANK, freedom, vectors.shape[1]))
    # The class means lie in the space of the directions too, so that the remainder is the same for all classes.
    basis = _orthonormal(np.concatenate([axes, means.T], axis=1))
    coordinates = residuals @ basis
    shrinkage = float(ledoit_wolf_shrinkage(coordinates, assume_centered=True))
    covariance = coordinates.T @ coordinates / freedom
    mean_variance = float(np.trace(covariance)) / len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * mean_variance * np.eye(len(covariance))
    variances, rotation = eigh(shrunk)
    directions = _with_fixed_signs(basis @ rotation)
    least = LEAST_SHARE * mean_variance
    scales = 1 / np.sqrt(np.maximum(variances, least))
    remaining = vectors.shape[1] - directions.shape[1]
    rest_variance = max(total / freedom - float(np.trace(covariance)), 0) / max(remaining, 1)
    rest = 1 / max(rest_variance, least)
    return Distance(tuple(widths), centre, directions, scales, (means @ directions * scales).T, rest)


def _principal_axes(residuals: Array, rank: int) -> tuple[Array, Array]:
    """Return the variances and directions, [D, rank], of most variance, by the smaller of the two Gram matrices."""
    images, width = residuals.shape
    if width <= images:
        values, vectors = eigh(residuals.T @ residuals, subset_by_index=(width - rank, width - 1))
        return values, vectors
    values, vectors = eigh(residuals @ residuals.T, subset_by_index=(images - rank, images - 1))
    lengths = np.sqrt(np.maximum(values, np.finfo(np.float64).tiny))
    return values, residuals.T @ vectors / lengths


def _orthonormal(columns: Array) -> Array:
    """Return an orthonormal basis of the space of the columns."""
    basis, triangle, _ = qr(columns, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    return np.asarray(basis[:, sizes > sizes[0] * np.sqrt(np.finfo(np.float64).eps)])


def _with_fixed_signs(columns: Array) -> Array:
    """Return the columns with their largest entry positive: a solver may give either sign."""
    largest = columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])]
    return np.asarray(columns * np.where(largest < 0, -1, 1))
