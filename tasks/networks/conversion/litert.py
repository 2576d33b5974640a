"""Conversion from Keras to LiteRT (`.tflite`), for phones and small devices."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tasks.networks import cuts
from tasks.networks.conversion.keras_to_onnx import preprocess, tap_vectors


def convert_to_litert(
    base: keras.Model, head: keras.Model, taps: Sequence[str], size: int, mode: str, pooling: str
) -> bytes:
    """Return the model from `resized`, uint8 [1, size, size, 3], to `probabilities` [1, classes] and `features` [1, D].

    Both outputs are float32. The head reads the vectors of the layers `taps` of the base; see `convert_base` for `mode`
    and `pooling`. The signature is named `serving_default`.

    Raises:
        Exception: TensorFlow's converter raises errors of several types if LiteRT lacks an operator of the network.
    """
    part = cuts.truncate(base, list(taps)) if list(taps) != cuts.tap_names(base) else base

    def classify(resized: Any) -> dict[str, Any]:
        features = tf.concat(tap_vectors(part, preprocess(resized, mode), pooling), axis=1)
        return {"probabilities": head(features, training=False), "features": features}

    pixels = tf.TensorSpec([1, size, size, 3], tf.uint8, name="resized")
    classifier = tf.Module()
    # The converter finds the weights here.
    classifier.weights = [variable.value for variable in (*part.variables, *head.variables)]
    classifier.classify = tf.function(classify, input_signature=[pixels])
    function = classifier.classify.get_concrete_function()
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function], classifier).convert())
