"""Intervals of differences between two sides that were measured in pairs."""

from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """The mean of paired differences and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


def paired_interval(differences: Sequence[float]) -> Interval:
    """Return the mean of two differences or more, and its interval by Student's t."""
    mean = sum(differences) / len(differences)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1) * stats.sem(differences))
    return Interval(mean, mean - half, mean + half)
