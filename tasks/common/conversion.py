"""From Keras to ONNX: the models that are trained become the graphs that are served."""

from collections.abc import Callable
from typing import Any

import keras
import onnx
import tensorflow as tf
import tf2onnx
from keras.applications.imagenet_utils import preprocess_input

from tasks.common import graphs


def base_graph(base: keras.Model, size: int, mode: str, pooling: str) -> onnx.ModelProto:
    """Return the graph from `image` (uint8, any size) over `resized` to `features`, float32 [N, D].

    `mode` is keras.applications' preprocessing (`caffe`, `tf`, `torch`, or `none` where the base holds its own), and is
    converted from Keras's own function. BatchNorm runs in inference mode.
    """
    pool = pooling_layer(pooling)

    def forward(resized: Any) -> Any:
        return pool(base(normalised(resized, mode), training=False))

    specification = tf.TensorSpec([None, size, size, 3], tf.uint8, name="resized")
    return graphs.joined(graphs.resizing(size), _converted(forward, specification, "base", "resized", "features"))


def head_graph(head: keras.Model) -> onnx.ModelProto:
    """Return the graph from `features`, float32 [N, D], to `probabilities`, float32 [N, classes]."""
    specification = tf.TensorSpec([None, head.input_shape[-1]], tf.float32, name="features")
    return _converted(lambda x: head(x, training=False), specification, "head", "features", "probabilities")


def normalised(resized: Any, mode: str) -> Any:
    """Return uint8 pixels [N, S, S, 3] as the float32 values that the base was trained on."""
    values = tf.cast(resized, tf.float32)
    return values if mode == "none" else preprocess_input(values, data_format="channels_last", mode=mode)


def pooling_layer(pooling: str) -> keras.layers.Layer:
    """Return the layer that turns the base's last maps into one vector: `avg` or `max`."""
    return {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}[pooling](name="pool")


def _converted(
    forward: Callable[[Any], Any], specification: tf.TensorSpec, prefix: str, source: str, result: str
) -> onnx.ModelProto:
    # from_keras and model.export have open bugs with Keras 3; a tf.function converts every family.
    function = tf.function(forward, input_signature=[specification])
    model, _ = tf2onnx.convert.from_function(function, input_signature=[specification], opset=graphs.OPSET)
    return graphs.named(model, prefix, source, result)
