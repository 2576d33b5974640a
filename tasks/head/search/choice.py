"""The choice among candidates by their predictions on the folds; a difference counts if it is more than noise.

The best of many single candidates is often the best by luck. Therefore the choice is an average of linear candidates,
with shares of least log loss (`stacking`), unless a network with hidden layers is clearly better.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tasks.common.text import count
from tasks.head import class_weights
from tasks.head.search.linear import Array, Ints
from tasks.head.search.scores import Scored

# Candidates within so many standard errors of the best one are told apart by their log loss.
NEAR = 2.0
# A difference in log loss between two candidates counts if it is larger than so many of its standard errors.
CLEAR = 2.0


def image_weights(criterion: str, targets: Ints, classes: int) -> Array:
    """Return the weights of the images [n] in the log loss that decides near-ties: all classes alike for macro F1."""
    if criterion == "macro_f1":
        return class_weights.balanced(targets, classes)[targets]
    return np.ones(len(targets))


def loss(scored: Scored, weights: Array) -> float:
    """Return the mean log loss, with these weights of the images."""
    return float(np.average(scored.losses, weights=weights))


def best(scored: Sequence[Scored], criterion: str, weights: Array) -> Scored:
    """Return the candidate of least log loss among those that are near the best one by the criterion."""
    value, error = _criterion(criterion)
    top = max(scored, key=value)
    near = [row for row in scored if value(row) >= value(top) - NEAR * error(top)]
    return min(near, key=lambda row: loss(row, weights))


def is_clearly_better(challenger: Scored, holder: Scored, weights: Array) -> bool:
    """Tell whether the log loss of the challenger is lower by CLEAR standard errors of the difference."""
    differences = weights * (holder.losses - challenger.losses)
    return bool(differences.mean() > CLEAR * differences.std() / np.sqrt(len(differences)))


def choose(reference: Scored, others: Sequence[Scored], weights: Array) -> Scored:
    """Return the reference, or the best candidate by log loss if it is clearly better than the reference."""
    challengers = [row for row in others if is_clearly_better(row, reference, weights)]
    return min([reference, *challengers], key=lambda row: loss(row, weights))


def _criterion(criterion: str) -> tuple[Callable[[Scored], float], Callable[[Scored], float]]:
    """Return the functions of a candidate that give its score, to be high, and the standard error of that."""
    if criterion == "macro_f1":
        return lambda row: row.macro_f1, lambda row: row.macro_f1_error
    if criterion == "log_loss":
        return lambda row: -float(row.losses.mean()), lambda _: 0.0
    return lambda row: row.accuracy, lambda row: row.standard_error


def order(scored: Sequence[Scored], criterion: str, weights: Array) -> list[Scored]:
    """Return the candidates from the best to the worst by the criterion, equal ones by their log loss."""
    value, _ = _criterion(criterion)
    return sorted(scored, key=lambda row: (-value(row), loss(row, weights)))


def explain(winner: Scored, reference: Scored, single: Scored, candidates: int, folds: int) -> str:
    """Return a sentence on why the winner won; `single` is the best candidate that is no average."""
    scores = (
        f"{winner.accuracy:.1%} +- {winner.standard_error:.1%} right and a log loss of {winner.losses.mean():.3f} over "
        f"{count(folds, 'fold')}"
    )
    if winner is not reference:
        return (
            f"The {winner.candidate.title} won with {scores}: its log loss is lower than that of the "
            f"{reference.candidate.title} ({reference.losses.mean():.3f}) by more than twice the standard error of the "
            "difference."
        )
    return (
        f"The {winner.candidate.title} won with {scores}: among {count(candidates, 'candidate')}, its members and "
        f"their shares are those of least log loss. The best one alone, {single.candidate.title}, has "
        f"{single.accuracy:.1%} and {single.losses.mean():.3f}."
    )
