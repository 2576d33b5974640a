"""Operating points: the threshold of a class's probability that reaches a wanted precision or recall.

A class is called present where its probability is at least the threshold. The threshold is chosen on images that the
model had not seen; which precision and recall it has on yet other images, the stage `evaluation` measures.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.common.errors import GraftError, did_you_mean
from tasks.common.params import OperatingPoint
from tasks.common.text import count, printable
from tasks.tables.held_out import HeldOut

# A precision or a recall is a share of at least so many images.
FEWEST_IMAGES = 10
NAMES_SHOWN = 10


def choose_thresholds(table: HeldOut, wanted: Mapping[str, OperatingPoint]) -> dict[str, dict[str, Any]]:
    """Return ModelMetadata.operating_points: a point for each class of `wanted`.

    Of the thresholds that reach a wanted precision, it is the lowest, which has the largest recall; of those that reach
    a wanted recall, it is the highest. It lies in the middle between two probabilities that occur, so that rounding in
    another runtime does not move an image across it.

    Raises:
        GraftError: A class does not exist or has too few images, or no threshold reaches its precision.
    """
    return {name: _choose(table, name, point) for name, point in wanted.items()}


def _choose(table: HeldOut, name: str, point: OperatingPoint) -> dict[str, Any]:
    shown = f"class '{printable(name)}' of evaluation.operating_points"
    if name not in table.classes:
        message = f"{shown} does not exist.{_alternatives(name, table.classes)}"
        raise GraftError(message)
    is_class = np.array(table.labels) == name
    images = int(is_class.sum())
    measure, share = next((key, value) for key, value in point if value is not None)
    fewest = _fewest_images(share)
    if images < fewest:
        message = (
            f"{shown} has {count(images, 'image')} that training left out; a {measure} of {share:g} needs at least "
            f"{fewest}. Add images of the class, or ask for less."
        )
        raise GraftError(message)
    curve = _Curve(table.probabilities[:, table.classes.index(name)], is_class)
    if measure == "recall":
        position = int(np.argmax(curve.recall >= share))
    else:
        enough = curve.predicted >= fewest
        reached = np.flatnonzero((curve.precision >= share) & enough)
        if len(reached) == 0:
            best = int(np.argmax(np.where(enough, curve.precision, -1)))
            message = (
                f"{shown}: no threshold reaches a precision of {share:g} on the {count(len(is_class), 'image')} that "
                f"training left out; the best is {curve.precision[best]:.3f}, with a recall of "
                f"{curve.recall[best]:.3f}. Ask for less, or train a better model."
            )
            raise GraftError(message)
        position = int(reached[-1])
    return {"measure": measure, "wanted": share, **curve.describe(position), "images": images}


class _Curve:
    """Precision and recall at every probability that occurs, from the highest to the lowest."""

    def __init__(self, probabilities: npt.NDArray[np.float32], is_class: npt.NDArray[np.bool_]) -> None:
        order = np.argsort(-probabilities, kind="stable")
        sorted_ = probabilities[order]
        # Images of equal probability are on the same side of every threshold.
        last = np.flatnonzero(np.append(np.diff(sorted_) != 0, True))
        hits = np.cumsum(is_class[order])[last]
        self.levels = sorted_[last]
        self.predicted = last + 1
        self.precision = hits / self.predicted
        self.recall = hits / int(is_class.sum())

    def describe(self, position: int) -> dict[str, Any]:
        """Return the threshold with which the images of the levels up to this one are predicted, and its figures."""
        level = self.levels[position]
        below = self.levels[position + 1] if position + 1 < len(self.levels) else np.float32(0)
        middle = (level + below) / np.float32(2)
        return {
            # Neighbours among the float32 have no number between them.
            "threshold": float(middle if middle > below else level),
            "precision": float(self.precision[position]),
            "recall": float(self.recall[position]),
            "predicted": int(self.predicted[position]),
        }


def _fewest_images(share: float) -> int:
    """Return the number of images from which on a share can be told from 1: 20 for 0.95."""
    # The decimals as they are written: 1 / (1 - 0.9) is more than 10.
    rest = 1 - Fraction(str(share))
    return max(FEWEST_IMAGES, ceil(1 / rest)) if rest else FEWEST_IMAGES


def _alternatives(name: str, classes: list[str]) -> str:
    """Return the nearest class, or else the first ones, in a sentence with a leading space."""
    if nearest := did_you_mean(name, classes):
        return printable(nearest)
    names = ", ".join(printable(other) for other in classes[:NAMES_SHOWN])
    return f" The classes are {names}{', ...' if len(classes) > NAMES_SHOWN else ''}."
