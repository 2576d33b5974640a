"""Weighted averages of candidates: the weights are those of least log loss on the folds."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from tasks.calibration.temperature import doubt
from tasks.head.search.candidate import Candidate
from tasks.head.search.linear import Array, Ints
from tasks.head.search.scores import Scored, score

# A member with less than this share of the weights is left out.
LEAST_SHARE = 1e-3
STEPS = 40
# The weights without one fold start from those of all folds, so that fewer steps are enough.
FOLD_STEPS = 8


def stack(members: Sequence[Scored], targets: Ints, image_weights: Array, fold_of_images: Ints) -> Scored:
    """Return the weighted average of the members' logits, scored on predictions with weights from the other folds.

    The weights are not negative, so members that do not help get none. Source: Wolpert 1992, Stacked Generalization;
    Breiman 1996, Stacked Regressions, for the bound of 0.
    """
    scaled = np.stack([member.logits / member.temperature for member in members])
    scaled -= scaled.mean(axis=2, keepdims=True)
    weights = _fit_weights(scaled, targets, image_weights, np.full(len(members), 1 / len(members)))
    weights[weights < LEAST_SHARE * weights.sum()] = 0
    used = [int(index) for index in np.flatnonzero(weights)]
    logits = np.empty(scaled.shape[1:])
    for fold in range(int(fold_of_images.max()) + 1):
        own = fold_of_images == fold
        others = ~own
        fold_weights = _fit_weights(
            scaled[used][:, others], targets[others], image_weights[others], weights[used], FOLD_STEPS
        )
        logits[own] = np.tensordot(fold_weights, scaled[used][:, own], 1)
    parts = [members[index] for index in used]
    candidate = Candidate(
        "average",
        tuple(sorted({tap for part in parts for tap in part.candidate.taps})),
        members=tuple(part.candidate for part in parts),
        shares=tuple(float(weights[index] / members[index].temperature) for index in used),
    )
    return score([candidate], logits[None], targets)[0]


def _fit_weights(logits: Array, targets: Ints, image_weights: Array, start: Array, steps: int = STEPS) -> Array:
    """Return weights >= 0 of K members, [K], of least log loss; `logits` [K, n, C] have a mean of 0 over classes."""
    own, share = np.arange(len(targets)), image_weights / image_weights.sum()
    wanted = (1 - doubt(len(targets))) * (logits[:, own, targets] @ share)
    flat = logits.reshape(len(logits), -1)

    def evaluate(weights: Array) -> tuple[float, Array]:
        values = (weights @ flat).reshape(logits.shape[1:])
        top = values.max(axis=1, keepdims=True)
        predicted = np.exp(values - top)
        sums = predicted.sum(axis=1, keepdims=True)
        value = share @ (np.log(sums) + top)[:, 0] - weights @ wanted
        predicted *= share[:, None] / sums
        return float(value), flat @ predicted.ravel() - wanted

    options = {"maxiter": steps}
    result = minimize(evaluate, start, jac=True, bounds=[(0, None)] * len(start), method="L-BFGS-B", options=options)
    return np.asarray(result.x if result.x.sum() > 0 else start)
