"""The score `known` in [0, 1] and its threshold, from the distances of validation images."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from tasks.common.text import count
from tasks.novelty.distance import Array, Distance, Ints, fit_distance

THRESHOLD = 0.5
METHOD = "Mahalanobis distance of normalised features (arXiv 2505.18032)"
LEAST_DISTANCE = 1e-12
LEAST_SPREAD = 0.1
"""Validation images that lie at nearly the same distance would make the score jump from 1 to 0."""
LEAST_VALIDATION = 2
ROUNDING = 1e-9
"""A rank that is a whole number must not become the next one by the last bit of its product."""


class Novelty(NamedTuple):
    """A distance, and how it becomes `known` = 1 / (1 + exp((log distance - middle) / spread)).

    A picture at the distance that the share `false_alarms` of pictures like the validation images exceed has `known`
    0.5, the threshold. `wanted` is the share that was asked for, which few validation images cannot support. `images`
    are the numbers of training and validation images.
    """

    distance: Distance
    middle: float
    spread: float
    false_alarms: float
    wanted: float
    images: tuple[int, int]

    def known(self, features: Array) -> Array:
        """Return the score of each vector, [n]; `features` are [n, D]."""
        logs = np.log(np.maximum(self.distance.measure(features), LEAST_DISTANCE))
        return np.asarray(1 / (1 + np.exp((logs - self.middle) / self.spread)))

    def facts(self) -> dict[str, Any]:
        """Return the facts for the metadata of the exported file."""
        training, validation = self.images
        return {
            "threshold": THRESHOLD,
            "false_alarms": self.false_alarms,
            "training_images": training,
            "validation_images": validation,
            "method": METHOD,
        }

    @property
    def warning(self) -> str | None:
        """Say that the images cannot support the share of false alarms that was asked for; None if they can."""
        if self.false_alarms <= self.wanted:
            return None
        needed = math.ceil(1 / self.wanted - 1 - ROUNDING)
        return (
            f"head.false_alarms {self.wanted:g} needs {count(needed, 'validation image')}, found {self.images[1]:,}: "
            f"the model may call {self.false_alarms:.1%} of images like these unknown"
        )


class Refusal(NamedTuple):
    """The reason why there is no score."""

    reason: str


def fit_novelty(
    training: Array, targets: Ints, validation: Array, widths: Sequence[int], false_alarms: float
) -> Novelty | Refusal:
    """Return the score for features of training images, [n, D], their class numbers and features of validation images.

    The threshold is the quantile of split conformal prediction (Vovk et al. 2005; Angelopoulos and Bates 2021, arXiv
    2107.07511, section 1): a new picture like the validation images lies beyond it with a probability of at most
    `false_alarms`. With too few validation images for that, it is their largest distance, and the share that this
    gives is stated.
    """
    images = len(validation)
    if images < LEAST_VALIDATION:
        return Refusal(f"the threshold needs {LEAST_VALIDATION} validation images, found {images}")
    with threadpool_limits(1, user_api="blas"):  # the number affects the last bits
        distance = fit_distance(training, targets, widths)
        if distance is None:
            classes = count(len(np.unique(targets)), "class", "classes")
            return Refusal(f"the features of {count(len(training), 'training image')} do not vary within {classes}")
        logs = np.sort(np.log(np.maximum(distance.measure(validation), LEAST_DISTANCE)))
    rank = math.ceil((images + 1) * (1 - false_alarms) - ROUNDING)
    reached = false_alarms if rank <= images else 1 / (images + 1)
    spread = max(float(logs.std()), LEAST_SPREAD)
    middle = float(logs[min(rank, images) - 1])
    return Novelty(distance, middle, spread, reached, false_alarms, (len(training), images))
