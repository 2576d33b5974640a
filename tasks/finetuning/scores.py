"""Scores of the network on validation rows while it is trained."""

from typing import NamedTuple

from tasks.calibration.log_loss import log_probabilities
from tasks.finetuning.batches import Floats


class Scores(NamedTuple):
    """Loss and accuracy on validation rows."""

    loss: float
    accuracy: float


def smoothed_scores(probabilities: Floats, targets: Floats, smoothing: float) -> Scores:
    """Return cross-entropy with smoothed targets, as in training, and accuracy.

    Args:
        probabilities: float32 [n, classes].
        targets: one-hot, float32 [n, classes].
        smoothing: share of each target that is spread over all classes, in [0, 1).
    """
    smooth = targets * (1 - smoothing) + smoothing / targets.shape[1]
    right = probabilities.argmax(axis=1) == targets.argmax(axis=1)
    return Scores(float(-(smooth * log_probabilities(probabilities)).sum(axis=1).mean()), float(right.mean()))
