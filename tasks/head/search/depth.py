"""Depth: how much the taps are worth, alone and joined."""

from collections.abc import Sequence

import numpy as np

from tasks.head.rows import Rows
from tasks.head.search.linear import Array

STEPS = 15
# Penalties as shares of the one that makes all weights 0.
PENALTIES = (0.7, 0.4, 0.2, 0.1)


def rank_taps(features: Array, rows: Rows) -> list[int]:
    """Return the indexes of the taps, the most useful first, by a group lasso over taps.

    Taps are ranked by the penalty at which they enter the least-squares fit of the class indicators to the
    standardised features [R, D], and by the norm of their weights where they enter together. The solver is proximal
    gradient descent with momentum. Source: Evci et al. 2022, Head2Toe, which does so for single features.
    """
    slices = rows.tap_slices
    # All taps get the same energy, so that a wide one does not enter for its width.
    factors = np.concatenate([np.full(tap.width, 1 / np.sqrt(tap.width)) for tap in rows.taps])
    scaled = features * factors
    indicator = np.eye(len(rows.classes))[rows.targets]
    indicator -= indicator.mean(axis=0)
    wide = scaled.shape[1] > scaled.shape[0]
    gram = scaled @ scaled.T if wide else scaled.T @ scaled
    cross = scaled.T @ indicator
    rate = 1 / max(float(np.linalg.eigvalsh(gram)[-1]), 1e-30)
    largest = max(float(np.linalg.norm(cross[part])) for part in slices)
    weights = momentum = np.zeros_like(cross)
    entered: dict[int, tuple[float, float]] = {}
    for penalty in PENALTIES:
        for step in range(STEPS):
            product = scaled.T @ (scaled @ momentum) if wide else gram @ momentum
            moved = momentum - rate * (product - cross)
            for part in slices:
                norm = float(np.linalg.norm(moved[part]))
                moved[part] *= max(0.0, 1 - rate * penalty * largest / norm) if norm else 0.0
            momentum = moved + step / (step + 3) * (moved - weights)
            weights = moved
        for tap, part in enumerate(slices):
            norm = float(np.linalg.norm(weights[part]))
            if norm and tap not in entered:
                entered[tap] = (penalty, norm)
    return sorted(range(len(slices)), key=lambda tap: tuple(-value for value in entered.get(tap, (0.0, 0.0))))


def combinations(ranking: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the sets of taps to compare: each alone, the better half by the ranking, and all."""
    alone = [(tap,) for tap in sorted(ranking)]
    joined = [tuple(sorted(ranking[:number])) for number in (-(-len(ranking) // 2), len(ranking)) if number > 1]
    return list(dict.fromkeys([*alone, *joined]))
