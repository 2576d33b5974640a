"""How far the probabilities are from the shares of right predictions."""

from typing import NamedTuple

import numpy as np

from tasks.calibration.calibration_error import BINS
from tasks.calibration.intervals import wilson_interval
from tasks.evaluation.test_set import TestSet


class Bin(NamedTuple):
    """The images whose predicted class has a probability from `low` to below `high`.

    `probability` is their mean probability and `right_share` the share of right predictions, with its interval. These
    are None in a bin without images.
    """

    low: float
    high: float
    images: int
    right: int
    probability: float | None
    right_share: float | None
    right_share_low: float | None
    right_share_high: float | None


def measure_reliability(test: TestSet) -> list[Bin]:
    """Return the bins of the calibration error, which have equal widths."""
    members = np.minimum((test.confidences * BINS).astype(np.int64), BINS - 1)
    bins = []
    for number in range(BINS):
        mask = members == number
        images, right = int(mask.sum()), int((mask & test.right).sum())
        ends = number / BINS, (number + 1) / BINS
        if images == 0:
            bins.append(Bin(*ends, 0, 0, None, None, None, None))
        else:
            probability = float(test.confidences[mask].astype(np.float64).mean())
            interval = wilson_interval(right, images, test.confidence)
            bins.append(Bin(*ends, images, right, probability, right / images, *interval))
    return bins
