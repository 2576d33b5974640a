"""Differences between two runs on the same images, with intervals, and the exact test of McNemar."""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# scipy.stats would take more than half a second to import.
from scipy import special

from tasks.calibration.intervals import wilson_interval

Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

RESAMPLES = 1000
SEED = 0


class Difference(NamedTuple):
    """A figure of both runs, 0..1, and the interval of the difference, newer minus older, -1..1."""

    before: float
    after: float
    low: float
    high: float

    @property
    def change(self) -> float:
        """The newer figure minus the older one."""
        return self.after - self.before


def accuracy_difference(before: Mask, after: Mask, confidence: float) -> Difference:
    """Return the accuracies of paired images, bool [N] with N > 0, and the interval of their difference.

    It is the square-and-add interval of R. G. Newcombe (Statistics in Medicine 17, 2635-2650, 1998), method 10, which
    keeps its coverage for few images and for shares near 1.
    """
    images = len(after)
    both, newly_wrong = int((before & after).sum()), int((before & ~after).sum())
    newly_right, neither = int((~before & after).sum()), int((~before & ~after).sum())
    share_before, share_after = (both + newly_wrong) / images, (both + newly_right) / images
    low_before, high_before = wilson_interval(both + newly_wrong, images, confidence)
    low_after, high_after = wilson_interval(both + newly_right, images, confidence)
    margins = (both + newly_wrong) * (newly_right + neither) * (both + newly_right) * (newly_wrong + neither)
    product = both * neither - newly_wrong * newly_right
    # The correction for continuity of method 10, for a positive correlation alone.
    corrected = max(product - images / 2, 0) if product > 0 else product
    correlation = corrected / sqrt(margins) if margins else 0.0
    change = share_after - share_before
    down = _add(share_after - low_after, high_before - share_before, correlation)
    up = _add(high_after - share_after, share_before - low_before, correlation)
    return Difference(share_before, share_after, change - down, change + up)


def macro_f1_difference(
    labels: Sequence[str], before: Sequence[str], after: Sequence[str], confidence: float
) -> Difference:
    """Return the macro F1 of both runs over the classes of the labels, and the percentile interval of the bootstrap.

    The images are drawn as pairs, so that what both runs find hard does not widen the interval.
    """
    classes = {name: number for number, name in enumerate(sorted(set(labels)))}
    # A predicted class that no label has takes the number after the last one, where it counts for no class.
    actual, older, newer = (
        np.array([classes.get(name, len(classes)) for name in names], np.int64) for names in (labels, before, after)
    )
    random = np.random.default_rng(SEED)
    images = len(labels)
    changes = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        weights = np.bincount(random.integers(0, images, images), minlength=images).astype(np.float64)
        changes[number] = _macro_f1(actual, newer, weights) - _macro_f1(actual, older, weights)
    low, high = np.quantile(changes, [(1 - confidence) / 2, (1 + confidence) / 2])
    ones = np.ones(images)
    return Difference(_macro_f1(actual, older, ones), _macro_f1(actual, newer, ones), float(low), float(high))


def mcnemar(newly_right: int, newly_wrong: int) -> float:
    """Return the two-sided p-value of the exact test of McNemar (Psychometrika 12, 1947), 1 if no image changed."""
    changed = newly_right + newly_wrong
    return min(1.0, 2 * float(special.bdtr(min(newly_right, newly_wrong), changed, 0.5)))


def _add(first: float, second: float, correlation: float) -> float:
    """Return the length of the sum of two distances with that correlation."""
    return sqrt(max(first**2 - 2 * correlation * first * second + second**2, 0))


def _macro_f1(actual: Indices, predicted: Indices, weights: Floats) -> float:
    classes = int(actual.max()) + 1
    hits = np.bincount(actual, weights * (actual == predicted), minlength=classes)
    found = np.bincount(actual, weights, minlength=classes) + np.bincount(predicted, weights, classes)[:classes]
    return float(np.mean(2 * hits / np.maximum(found, 1)))
