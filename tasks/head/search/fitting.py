"""Linear candidates fitted on folds for comparison, and on given rows for use."""

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.head.search import discriminant, logistic, ridge
from tasks.head.search.candidate import Candidate
from tasks.head.search.folds import Folds
from tasks.head.search.linear import Array, Linear
from tasks.head.search.scores import Scored, score
from tasks.head.search.space import Space

SHRINKAGES = (None, 0.2, 0.7)
RIDGE_PENALTIES = (0.1, 0.5)
LOGISTIC_PENALTIES = (0.003, 0.015, 0.06, 0.3)

# The logistic regression gets one penalty, or none, where all would take more multiplications than this.
MOST_MULTIPLICATIONS = 1.5e11
# The exponential function and the other operations on a logit take as long as so many multiplications.
LOGIT_MULTIPLICATIONS = 400


def compare(
    kind: str, space: Space, folds: Folds, class_weights: Mapping[str, Array], strengths: Sequence[float | None]
) -> list[Scored]:
    """Return the scores of a kind with each class weight and strength, from predictions for the images of each fold."""
    # float32 is precise enough for a comparison, and takes half the time of float64.
    sample = space.sample._replace(coordinates=space.sample.coordinates.astype(np.float32))
    space = space._replace(sample=sample)
    weights = folds.training_weights().astype(np.float32)
    plain = sample.coordinates[folds.plain]
    scored: list[Scored] = []
    fitted = None
    for name, values in class_weights.items():
        # The weights of classes only shift the logits of a discriminant, so one fit serves all of them.
        if kind != "discriminant" or fitted is None:
            fitted = fit(kind, space, weights, values, strengths)
            shift = np.log(values)
        logits = np.empty((len(strengths), len(plain), sample.classes))
        for fold in range(folds.number):
            own = folds.of_images == fold
            logits[:, own] = plain[own] @ fitted.kernels[:, fold] + fitted.biases[:, fold, None]
        if kind == "discriminant":
            logits += np.log(values) - shift
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
    """Return the penalties of the logistic regression for which there is time: all, one in the middle, or none."""
    rows, width = space.sample.coordinates.shape
    logits = rows * space.sample.classes * folds * weightings * logistic.STEPS
    one_penalty = 2.0 * logits * (width + LOGIT_MULTIPLICATIONS)
    number = min(len(LOGISTIC_PENALTIES), int(MOST_MULTIPLICATIONS / one_penalty))
    middle = LOGISTIC_PENALTIES[1]
    return LOGISTIC_PENALTIES if number == len(LOGISTIC_PENALTIES) else (middle,)[:number]
