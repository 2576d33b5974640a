"""Comparison of an ONNX graph with the Keras network that it was converted from."""

from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf

from tasks.networks import cuts
from tasks.networks.conversion.keras_to_onnx import keras_forward, preprocess
from tasks.onnx import graphs
from tasks.onnx.sessions import Session

BATCH_SIZES = (1, 5)


def parity_error(base: keras.Model, graph: onnx.ModelProto, size: int, mode: str, pooling: str) -> float:
    """Return the largest difference between ONNX Runtime and Keras on random images of `size` pixels.

    It is relative to the largest value of the tap; NaN when either result holds a value that is not finite.
    """
    # From `resized`, because the resize changes even an image of that size if it uses only the centre.
    run_onnx = Session(graphs.extract(graph, "resized", "features"), threads=1)
    run_keras = keras_forward(base, size, mode, pooling)
    errors = [0.0]
    for images in _random_images(size):
        expected = run_keras(images)
        tap_ends = np.cumsum([vectors.shape[1] for vectors in expected])
        actual = np.split(run_onnx(images), tap_ends[:-1], axis=1)
        with np.errstate(invalid="ignore"):
            errors += [
                np.abs(onnx_vectors - keras_vectors).max() / max(np.abs(keras_vectors).max(), np.finfo(np.float32).tiny)
                for onnx_vectors, keras_vectors in zip(actual, expected, strict=True)
            ]
    return float(np.max(errors))


class NotFinite(NamedTuple):
    """The lowest layer of a network whose output is not finite, with the first such value: inf, -inf or nan."""

    layer: str
    value: float


def find_not_finite(base: keras.Model, size: int, mode: str) -> NotFinite | None:
    """Return the first layer from the input whose output is not finite on the random images; None without any."""
    nodes = cuts.graph_nodes(base)
    whole = keras.Model(base.input, [node.outputs[0] for node in nodes])

    def worst_values(images: tf.Tensor) -> tf.Tensor:
        outputs = whole(preprocess(images, mode), training=False)
        flat = [tf.reshape(tf.cast(output, tf.float32), [-1]) for output in outputs]
        return tf.stack([tf.gather(values, tf.argmin(tf.cast(tf.math.is_finite(values), tf.int32))) for values in flat])

    # As a graph, so that a layer's maps are freed after their last use.
    function = tf.function(worst_values, input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8)])
    for images in _random_images(size):
        values = np.asarray(function(tf.constant(images)))
        if not np.isfinite(values).all():
            first = int(np.argmin(np.isfinite(values)))
            return NotFinite(nodes[first].operation.name, float(values[first]))
    return None


def _random_images(size: int) -> list[npt.NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (count, size, size, 3), dtype=np.uint8) for count in BATCH_SIZES]
