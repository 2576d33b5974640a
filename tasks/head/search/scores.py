"""Scores of candidates, from their predictions for images that they were not fitted on."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.calibration.log_loss import log_losses
from tasks.calibration.temperature import temperatures
from tasks.head.search.candidate import Candidate
from tasks.head.search.linear import Array, Ints


class Scored(NamedTuple):
    """A candidate with its scores over n images.

    `logits` [n, C] are as the candidate gives them; `losses` [n] are the log losses and `hits` [n] say whether the
    prediction is right, after division of the logits by `temperature`.
    """

    candidate: Candidate
    logits: Array
    temperature: float
    losses: Array
    hits: npt.NDArray[np.bool_]
    macro_f1: float
    macro_f1_error: float

    @property
    def accuracy(self) -> float:
        """The share of images that are predicted right."""
        return float(self.hits.mean())

    @property
    def standard_error(self) -> float:
        """The standard error of the accuracy over images."""
        return float(self.hits.std() / np.sqrt(len(self.hits)))


def score(candidates: list[Candidate], logits: Array, targets: Ints) -> list[Scored]:
    """Return the candidates with their scores; `logits` are [K, n, C], `targets` [n]."""
    divisors = temperatures(logits, targets)
    losses = log_losses(logits / divisors[:, None, None], targets)
    predicted = logits.argmax(axis=2)
    return [
        Scored(candidate, logits[row], float(divisors[row]), losses[row], predicted[row] == targets, *f1)
        for row, candidate in enumerate(candidates)
        for f1 in [macro_f1(predicted[row], targets, logits.shape[2])]
    ]


def macro_f1(predicted: Ints, targets: Ints, classes: int) -> tuple[float, float]:
    """Return the mean over classes of F1, and its standard error as far as it comes from the recalls."""
    right = np.bincount(targets[predicted == targets], minlength=classes)
    actual = np.bincount(targets, minlength=classes)
    both = np.bincount(predicted, minlength=classes) + actual
    present = both > 0
    recall = right[actual > 0] / actual[actual > 0]
    error = np.sqrt(np.sum(recall * (1 - recall) / actual[actual > 0])) / max(1, len(recall))
    return float(np.mean(2 * right[present] / both[present])), float(error)
