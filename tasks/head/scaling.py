"""Standardisation of features: their means and scales are constants of the head."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# A spread counts as at least this share of the largest one, so that features that hardly vary are not blown up.
LEAST_SCALE = 1e-3


class Scaling(NamedTuple):
    """The mean of each feature and the factor of its difference from the mean, float64 [D] each."""

    mean: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]


def measure_scaling(features: npt.NDArray[np.float32]) -> Scaling:
    """Return mean and reciprocal spread of features [N, D].

    The least spread is relative, since the activations of some bases (random weights) are as small as 1e-16.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    # A spread of 0 in all features is replaced by 1, so that nothing is scaled.
    return Scaling(mean, 1 / np.maximum(spread, LEAST_SCALE * spread.max() or 1.0))
