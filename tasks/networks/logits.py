"""Logits of a classifier: the values that the softmax of its last dense layer turns into probabilities."""

import keras
import numpy as np
import numpy.typing as npt

from tasks.networks import cuts


def last_dense(classifier: keras.Model) -> keras.layers.Dense:
    """Return the layer of a classifier that computes its logits; softmax is its activation."""
    return classifier.get_layer(cuts.tap_names(classifier)[0])


def divide_by_temperature(classifier: keras.Model, temperature: float) -> None:
    """Divide the logits of a classifier by the temperature (> 0), in the weights of its last dense layer."""
    layer = last_dense(classifier)
    layer.set_weights([weights / np.float32(temperature) for weights in layer.get_weights()])


def predict_logits(classifier: keras.Model, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the logits of a classifier for inputs [N, ...], float64 [N, classes]."""
    layer = last_dense(classifier)
    kernel, bias = (np.asarray(weights, np.float64) for weights in layer.get_weights())
    before = keras.Model(classifier.input, layer.input).predict(inputs, verbose=0)
    return np.asarray(before.astype(np.float64) @ kernel + bias)
