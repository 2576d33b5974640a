"""Weights of classes in training."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.common.errors import GraftError, did_you_mean
from tasks.common.text import join, printable

Array = npt.NDArray[np.float64]

# Class sizes count as equal while the largest is at most so many times the smallest.
EQUAL = 1.2


def balanced(targets: npt.NDArray[np.int64], classes: int) -> Array:
    """Return weights in inverse proportion to the images of a class, [C], with a mean of 1 over the images."""
    counts = np.bincount(targets, minlength=classes)
    return np.asarray(len(targets) / (classes * np.maximum(counts, 1)))


def resolve(
    setting: str | dict[str, float], targets: npt.NDArray[np.int64], classes: Sequence[str]
) -> dict[str, Array]:
    """Return the weights [C] to try, by name; `auto` means none, and balanced where class sizes differ.

    Given weights are divided by their mean over the images.

    Raises:
        GraftError: The setting names a class that does not exist, or leaves one out.
    """
    none = np.ones(len(classes))
    if isinstance(setting, dict):
        return {"given": _given(setting, targets, classes)}
    if setting == "none":
        return {"none": none}
    weights = balanced(targets, len(classes))
    if setting == "balanced":
        return {"balanced": weights}
    return {"none": none, "balanced": weights} if weights.max() > EQUAL * weights.min() else {"none": none}


def _given(setting: dict[str, float], targets: npt.NDArray[np.int64], classes: Sequence[str]) -> Array:
    for name in setting:
        if name not in classes:
            hint = did_you_mean(name, classes)
            message = f"head.class_weight names the class '{printable(name)}', which does not exist.{hint}"
            raise GraftError(message)
    missing = [f"'{printable(name)}'" for name in classes if name not in setting]
    if missing:
        message = f"head.class_weight leaves out {join(missing)}. Give every class a weight, such as 1."
        raise GraftError(message)
    weights = np.array([setting[name] for name in classes])
    return np.asarray(weights / weights[targets].mean())
