"""A Mahalanobis distance to the training images in the space of their features.

Lee et al. 2018 (arXiv 1807.03888, section 2) fit a Gaussian of one covariance to each class; Mueller and Hein 2025,
"Mahalanobis++" (arXiv 2505.18032), bring every vector to unit length before. Here the vector of each tap is.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh, svd

Array = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

RANK = 128
"""Directions whose variance is fitted by itself; the others share one, so that the graph stays small."""
LEAST_LENGTH = 1e-12
LEAST_VARIANCE = 1e-12
"""Of unit vectors: below this, they do not vary."""
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

    The covariance is shrunken towards a sphere as by Ledoit and Wolf 2004, "A well-conditioned estimator for
    large-dimensional covariance matrices". Past its first `RANK` directions, all have their mean variance.

    Args:
        features: of n training images, [n, D], as the taps give them.
        targets: class numbers, [n], of fewer than n classes.
        widths: of the taps, whose sum is D.
    """
    residuals = normalise(features, widths)
    centre = residuals.mean(axis=0)
    residuals -= centre
    classes, positions, counts = np.unique(targets, return_inverse=True, return_counts=True)
    images, width = residuals.shape
    indicator = positions[None] == np.arange(len(classes))[:, None]
    means = indicator @ residuals / counts[:, None]
    residuals -= means[positions]
    lengths = np.einsum("nd,nd->n", residuals, residuals)
    if lengths.sum() / images <= LEAST_VARIANCE:
        return None
    # The smaller of the two Gram matrices has all variances that are not 0.
    is_wide = width > images
    gram = (residuals @ residuals.T if is_wide else residuals.T @ residuals) / images
    size = float(lengths.sum()) / images / width
    share = _shrinkage(lengths, float(np.sum(gram**2)), size, width)
    rank = min(RANK, images - len(classes), width)
    variances, axes = eigh(gram, subset_by_index=(len(gram) - rank, len(gram) - 1))
    used = variances > LEAST_SHARE**2 * variances[-1]
    variances, axes = variances[used], axes[:, used]
    if is_wide:
        axes = np.linalg.qr(residuals.T @ axes / np.sqrt(images * variances))[0]
    others = max(size * width - float(variances.sum()), 0) / max(width - len(variances), 1)
    least = LEAST_SHARE * size
    rest = 1 / max((1 - share) * others + share * size, least)
    own = 1 / np.maximum((1 - share) * variances + share * size, least)
    # What the class means have outside of the axes gets directions too, so that the remainder is that of all classes.
    more = _basis(means - means @ axes @ axes.T, float(np.linalg.norm(means)))
    directions = _with_fixed_signs(np.concatenate([axes, more], axis=1))
    scales = np.sqrt(np.concatenate([own, np.full(more.shape[1], rest)]))
    return Distance(tuple(widths), centre, directions, scales, (means @ directions * scales).T, rest)


def _shrinkage(lengths: Array, squares: float, size: float, width: int) -> float:
    """Return Ledoit and Wolf's share of the sphere.

    Args:
        lengths: squared lengths of the residuals, [n].
        squares: sum of the squared entries of their covariance.
        size: mean variance.
        width: number of features.
    """
    gap = squares - width * size**2
    spread = (float(np.mean(lengths**2)) - squares) / len(lengths)
    return float(np.clip(spread / gap, 0, 1)) if gap > 0 else 1.0


def _basis(rows: Array, size: float) -> Array:
    """Return an orthonormal basis of the space of the rows, [D, k], without directions that are rounding errors."""
    _, sizes, basis = svd(rows, full_matrices=False)
    return np.asarray(basis[sizes > size * np.sqrt(np.finfo(np.float64).eps)].T)


def _with_fixed_signs(columns: Array) -> Array:
    """Return the columns with their largest entry positive: a solver may give either sign."""
    largest = columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])]
    return np.asarray(columns * np.where(largest < 0, -1, 1))
