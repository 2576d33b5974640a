"""The dense classifier."""

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt

from tasks.head.scaling import Scaling, measure_scaling


def build_head(
    features: npt.NDArray[np.float32],
    classes: int,
    hidden: Sequence[int],
    dropout: float,
    scaling: Scaling | None = None,
) -> keras.Model:
    """Return an untrained classifier, features [N, D] to probabilities [N, classes], scaled to those features.

    Mean and spread are constants of the model; `scaling` replaces those of the features.
    """
    mean, factor = scaling or measure_scaling(features)
    source = values = keras.Input(features.shape[1:], name="features")
    values = keras.layers.Rescaling(factor.tolist(), (-mean * factor).tolist(), name="scale")(values)
    for number, width in enumerate(hidden):
        values = keras.layers.Dropout(dropout, name=f"dropout_{number}")(values)
        values = keras.layers.Dense(width, activation="relu", name=f"dense_{number}")(values)
    values = keras.layers.Dropout(dropout, name="dropout")(values)
    return keras.Model(
        source, keras.layers.Dense(classes, activation="softmax", name="probabilities")(values), name="head"
    )
