"""The score `known` in [0, 1] and its threshold, from the distances of validation images."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks.novelty.distance import Array, Distance, Ints, fit_distance

THRESHOLD = 0.5
LEAST_SPREAD = 1e-3
LEAST_DISTANCE = 1e-12
LEAST_IMAGES = 2


class Novelty(NamedTuple):
    """A distance, and how it becomes `known` = sigmoid((middle - log distance) / spread).

    A picture at the distance that `false_alarms` of validation images exceed has `known` 0.5, the threshold. `images`
    are the numbers of training and validation images.
    """

    distance: Distance
    middle: float
    spread: float
    false_alarms: float
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
        }


class Refusal(NamedTuple):
    """The reason why there is no score."""

    reason: str


def fit_novelty(
    training: Array, targets: Ints, validation: Array, widths: Sequence[int], false_alarms: float
) -> Novelty | Refusal:
    """Return the score for features of training images, [n, D], their class numbers and features of validation images.

    The threshold is the quantile of split conformal prediction: a new picture like the validation images exceeds it
    with a probability of at most `false_alarms`. With too few validation images for that rate, it is their largest
    distance, and the rate that this gives is stated.
    """
    if len(validation) < LEAST_IMAGES:
        return Refusal(f"there are {len(validation)} validation images, and the threshold needs {LEAST_IMAGES}")
    distance = fit_distance(training, targets, widths)
    if distance is None:
        return Refusal("the features of training images do not vary within the classes")
    logs = np.sort(np.log(np.maximum(distance.measure(validation), LEAST_DISTANCE)))
    images = len(logs)
    rank = min(math.ceil((images + 1) * (1 - false_alarms)), images)
    reached = max(false_alarms, 1 / (images + 1))
    spread = max(float(logs.std()), LEAST_SPREAD)
    return Novelty(distance, float(logs[rank - 1]), spread, reached, (len(training), images))
