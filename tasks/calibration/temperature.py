"""The temperature that divides logits, so that probabilities are what they say: fitted to the classes of images."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

STEPS = 7
START = 3.0  # of 1 / temperature, for logits of unit size


def probabilities(logits: Array) -> Array:
    """Return the softmax over the last axis."""
    values = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(values / values.sum(axis=-1, keepdims=True))


def doubt(images: int) -> float:
    """Return the share of the target that is spread over all classes: that of one further image of every class.

    Without it, logits would grow for ever where all predictions are right.
    """
    return 1 / (images + 1)


def temperatures(logits: Array, targets: Ints) -> Array:
    """Return for each of K sets of logits [K, n, C] the temperature of least log loss, [K].

    The solver is Newton's method on 1 / temperature, in which the loss is convex. Source: Guo et al. 2017, On
    Calibration of Modern Neural Networks.
    """
    share = doubt(len(targets))
    spread = logits - logits.mean(axis=2, keepdims=True)
    size = np.sqrt(np.mean(spread**2, axis=(1, 2)))
    scaled = spread / np.where(size > 0, size, 1)[:, None, None]
    wanted = (1 - share) * scaled[:, np.arange(len(targets)), targets].mean(axis=1)
    inverse = np.full(len(logits), START)
    for _ in range(STEPS):
        predicted = probabilities(inverse[:, None, None] * scaled)
        first = np.sum(predicted * scaled, axis=2)
        second = np.sum(predicted * scaled**2, axis=2) - first**2
        step = (first.mean(axis=1) - wanted) / np.maximum(second.mean(axis=1), 1e-12)
        inverse = np.clip(inverse - np.clip(step, -inverse, 0.5 * inverse), 1e-3, 1e3)
    return np.asarray(np.where(size > 0, size, 1) / inverse)
