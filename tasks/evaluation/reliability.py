"""How far the probabilities are from the shares of right predictions."""

from typing import NamedTuple

import numpy as np

from tasks.calibration.calibration_error import BINS
from tasks.calibration.intervals import wilson_interval
from tasks.evaluation.test_set import TestSet


class Bin(NamedTuple):
    """The images whose predicted class has a probability from `low` to below `high`, at least one.

    `probability` is their mean probability and `right_share` the share of right predictions, with its interval.
    """

    low: float
    high: float
    images: int
    right: int
    probability: float
    right_share: float
    right_share_low: float
    right_share_high: float


def measure_reliability(test: TestSet) -> list[Bin]:
    """Return the bins of the calibration error, which have equal widths, without the empty ones."""
    members = np.minimum((test.confidences * BINS).astype(np.int64), BINS - 1)
    bins = []
    for number in range(BINS):
        mask = members == number
        images, right = int(mask.sum()), int((mask & test.right).sum())
        if images:
            probability = float(test.confidences[mask].astype(np.float64).mean())
            interval = wilson_interval(right, images, test.confidence)
            bins.append(Bin(number / BINS, (number + 1) / BINS, images, right, probability, right / images, *interval))
    return bins
