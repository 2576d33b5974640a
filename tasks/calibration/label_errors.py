"""Likely wrong labels: their order, and an estimate of how many there are."""

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]


def likely_labels(probabilities: Probabilities, labels: Indices) -> Indices:
    """Return the most probable class other than the given one, int64 [N]."""
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -1
    return np.asarray(others.argmax(axis=1), np.int64)


def margins(probabilities: Probabilities, labels: Indices) -> npt.NDArray[np.float64]:
    """Return the given class's probability minus the largest other one, float64 [N], -1..1: the lowest is the worst.

    This is the normalised margin of Northcutt, Jiang and Chuang, JAIR 70, 2021.
    """
    rows = np.arange(len(labels))
    given = probabilities[rows, labels]
    return np.asarray(given - probabilities[rows, likely_labels(probabilities, labels)], np.float64)


def estimate_errors(probabilities: Probabilities, labels: Indices) -> float:
    """Return the estimated number of wrong labels, by confident learning.

    An image counts as of a class if that class's probability is at least the mean that images of the class reach, and
    no other such class is more probable. The counts of given against such classes, the confident joint, are scaled to
    the number of images of each given class; those off the diagonal are errors (Northcutt, Jiang and Chuang, JAIR 70,
    2021, equations 1 to 3).
    """
    classes = probabilities.shape[1]
    images = np.bincount(labels, minlength=classes)
    given = probabilities[np.arange(len(labels)), labels]
    thresholds = np.bincount(labels, given, classes) / np.maximum(images, 1)
    # A class without images, or one that no model knows, has no threshold.
    candidates = np.where((probabilities >= thresholds) & (thresholds > 0), probabilities, -1)
    confident = candidates.max(axis=1) >= 0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[confident], candidates[confident].argmax(axis=1)), 1)
    totals = joint.sum(axis=1)
    return float((images * (totals - joint.diagonal()) / np.maximum(totals, 1)).sum())
