"""Odd images: those far from every other image in feature space."""

import numpy as np
import numpy.typing as npt

from tasks.review.ranking.neighbours import Indices
from tasks.review.ranking.vectors import Vectors

# The limit that Iglewicz and Hoaglin recommend, How to Detect and Handle Outliers, ASQC 1993.
THRESHOLD = 3.5
# Makes the median absolute deviation of a normal distribution equal to its standard deviation.
DEVIATIONS = 1.4826
DEVIATION_FLOOR = 1e-6


def score_outliers(distances: Vectors, labels: Indices) -> npt.NDArray[np.float64]:
    """Return how unusual each image's mean distance to its neighbours is, float64 [N]: above THRESHOLD is odd.

    `distances`, float32 [N, k], are infinite where a neighbour is missing. The unit is the robust standard deviation of
    the mean distances of all images; it is counted from their median, or from the median of the image's class if that
    is larger, because all images of a small or varied class are far from each other.
    """
    finite = np.isfinite(distances)
    totals = np.where(finite, distances, 0).sum(axis=1, dtype=np.float64)
    means = np.where(finite.any(axis=1), totals / np.maximum(finite.sum(axis=1), 1), 0.0)
    median = float(np.median(means))
    centres = np.full(len(means), median)
    for label in np.unique(labels):
        members = labels == label
        centres[members] = max(median, float(np.median(means[members])))
    deviation = DEVIATIONS * float(np.median(np.abs(means - median)))
    return np.asarray((means - centres) / max(deviation, DEVIATION_FLOOR), np.float64)
