"""Linear candidates fitted on folds for comparison, and on given rows for use."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tasks.head.search import discriminant, logistic, ridge
from tasks.head.search.candidate import Candidate
from tasks.head.search.linear import Array, Ints, Linear
from tasks.head.search.scores import Scored, score
from tasks.head.search.space import Space

SHRINKAGES = (None, 0.2, 0.7)
RIDGE_PENALTIES = (0.1, 0.5)
LOGISTIC_PENALTIES = (0.003, 0.015, 0.06, 0.3)

# The logistic regression gets one penalty, or none, where all would take more multiplications than this.
MOST_MULTIPLICATIONS = 1.5e11
# Multiplications that take as long as the exponential function and what else is done with a logit.
LOGIT = 400


class Folds(NamedTuple):
    """Folds [n] of the images, images [R] and weights [R] of the rows, and the row of each image's plain view [n]."""

    of_images: Ints
    images: Ints
    weights: Array
    plain: Ints

    @property
    def number(self) -> int:
        """The number of folds."""
        return int(self.of_images.max()) + 1

    def training_weights(self) -> Array:
        """Return for each fold the weights of the rows, 0 for those of its own images, [F, R]."""
        own = self.of_images[self.images] == np.arange(self.number)[:, None]
        return np.where(own, 0, self.weights)


def compare(
    kind: str, space: Space, folds: Folds, class_weights: Mapping[str, Array], strengths: Sequence[float | None]
) -> list[Scored]:
    """Return the scores of a kind with each class weight and strength, from predictions for the images of each fold."""
    # Half the digits do for a comparison, and take half the time.
    sample = space.sample._replace(coordinates=space.sample.coordinates.astype(np.float32))
    space = space._replace(sample=sample)
    weights = folds.training_weights().astype(np.float32)
    plain = sample.coordinates[folds.plain]
    scored: list[Scored] = []
    fitted = None
    for name, values in class_weights.items():
        if kind != "discriminant" or fitted is None:
            fitted = fit(kind, space, weights, values, strengths)
            first = np.log(values)
        logits = np.empty((len(strengths), len(plain), sample.classes))
        for fold in range(folds.number):
            own = folds.of_images == fold
            logits[:, own] = plain[own] @ fitted.kernels[:, fold] + fitted.biases[:, fold, None]
        if kind == "discriminant":
            logits += np.log(values) - first
        candidates = [Candidate(kind, space.taps, strength, name) for strength in strengths]
        scored += score(candidates, logits, sample.targets[folds.plain])
    return scored


def fit(kind: str, space: Space, weights: Array, class_weights: Array, strengths: Sequence[float | None]) -> Linear:
    """Return the classifiers of a kind for each strength and each set of row weights [M, R]."""
    if kind == "discriminant":
        kernels, biases = discriminant.fit(space.sample, weights, strengths)
        return Linear(kernels, biases + np.log(class_weights).astype(biases.dtype))
    penalties = [float(strength or 0) for strength in strengths]
    weights = (weights * class_weights[space.sample.targets]).astype(weights.dtype)
    method = ridge.fit if kind == "ridge" else logistic.fit
    return method(space.sample, weights, penalties)


def affordable_penalties(space: Space, folds: int, weightings: int) -> tuple[float, ...]:
    """Return the penalties of the logistic regression that take a bearable time: all, one in the middle, or none."""
    rows, width = space.sample.coordinates.shape
    one_penalty = 2.0 * rows * (width + LOGIT) * space.sample.classes * folds * weightings * logistic.STEPS
    number = min(len(LOGISTIC_PENALTIES), int(MOST_MULTIPLICATIONS / one_penalty))
    middle = LOGISTIC_PENALTIES[1]
    return LOGISTIC_PENALTIES if number == len(LOGISTIC_PENALTIES) else (middle,)[:number]
