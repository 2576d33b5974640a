"""The test images with the predictions of the exported file: the argument of every measurement."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class TestSet(NamedTuple):
    """N test images in manifest order, with C classes.

    `actual` and `predicted` are numbers of classes, int64 [N], and `probabilities` are calibrated, float32 [N, C].
    `known`, float32 [N] in 0..1, says how much each image resembles the training images; None: the file does not say.
    `confidence` is the level of all intervals.
    """

    paths: list[str]
    actual: Indices
    predicted: Indices
    probabilities: Floats
    known: Floats | None
    classes: list[str]
    confidence: float

    @property
    def right(self) -> Mask:
        """Whether each prediction is right, bool [N]."""
        return np.asarray(self.actual == self.predicted)

    @property
    def confidences(self) -> Floats:
        """The probability of the predicted class of each image, float32 [N]."""
        return np.asarray(self.probabilities.max(axis=1))

    def labels(self) -> list[str]:
        """Return the class name of each image."""
        return [self.classes[index] for index in self.actual]

    def guesses(self) -> list[str]:
        """Return the name of the predicted class of each image."""
        return [self.classes[index] for index in self.predicted]
