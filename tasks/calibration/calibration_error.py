"""The calibration error: how far probabilities are from the share of right predictions."""

import numpy as np

from tasks.calibration.temperature import Array, Ints

BINS = 15


def calibration_error(predicted: Array, targets: Ints) -> float:
    """Return the expected calibration error of probabilities [n, C], in 15 bins of equal width, in [0, 1]."""
    confidence, right = predicted.max(axis=1), predicted.argmax(axis=1) == targets
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(targets))
