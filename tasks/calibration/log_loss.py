"""Log losses of logits, and the logits of probabilities."""

import numpy as np

from tasks.calibration.temperature import Array, Ints

LEAST_PROBABILITY = 1e-37


def log_losses(logits: Array, targets: Ints) -> Array:
    """Return the log loss of each image, [..., n], for logits [..., n, C] and class numbers [n]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(shifted).sum(axis=-1)) - shifted[..., np.arange(len(targets)), targets])


def log_probabilities(predicted: Array) -> Array:
    """Return the logarithms of probabilities, float64, which are logits of them; 0 counts as LEAST_PROBABILITY."""
    return np.asarray(np.log(np.maximum(predicted.astype(np.float64), LEAST_PROBABILITY)))
