"""The dense classifier."""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

# A spread counts as at least this share of the largest one, so that features that hardly vary are not blown up.
LEAST_SCALE = 1e-3


def build_head(features: npt.NDArray[np.float32], classes: int, hidden: Sequence[int], dropout: float) -> keras.Model:
    """Return an untrained classifier, features [N, D] to probabilities [N, classes], scaled to those features.

    Mean and spread are constants of the model. The scale is relative, since the activations of some bases (random
    weights) are as small as 1e-16.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    # A spread of 0 in all features is replaced by 1, so that nothing is scaled.
    scale = 1 / np.maximum(spread, LEAST_SCALE * spread.max() or 1.0)
    source = values = keras.Input(features.shape[1:], name="features")
    values = keras.layers.Rescaling(scale.tolist(), (-mean * scale).tolist(), name="scale")(values)
    for number, width in enumerate(hidden):
        values = keras.layers.Dropout(dropout, name=f"dropout_{number}")(values)
        values = keras.layers.Dense(width, activation="relu", name=f"dense_{number}")(values)
    values = keras.layers.Dropout(dropout, name="dropout")(values)
    return keras.Model(
        source, keras.layers.Dense(classes, activation="softmax", name="probabilities")(values), name="head"
    )
