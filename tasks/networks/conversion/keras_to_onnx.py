"""Conversion from Keras to ONNX: the models that are trained become the graphs that are served."""

import json
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
from keras.applications.imagenet_utils import preprocess_input
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tf2onnx import tf_loader
from tf2onnx.tfonnx import process_tf_graph

from tasks.networks import cuts
from tasks.networks.conversion import channels_first, optimizer_passes, preprocessing, substitutions
from tasks.onnx import graphs
from tasks.onnx.canonical_form import canonical
from tasks.onnx.resize import Resize, resize_graph

# Kernels with more elements than this bypass TensorFlow; smaller weights pass, since it folds normalization into them.
LARGE = 1024

VECTORS, TOKENS, MAPS = 2, 3, 4
"""Ranks of the outputs of a base: vectors [N, D], tokens [N, T, D] and maps [N, H, W, C]."""


def convert_base(base: keras.Model, resize: Resize, mode: str, pooling: str) -> onnx.ModelProto:
    """Return the graph from `image`, uint8 [N, H, W, 3] of any size, over `resized` to `features`, float32 [N, D].

    Each output of the base is a tap. Its vector is a tensor of the graph; the metadata `taps` names layer, tensor,
    width and depth of each, and `features` concatenates them. BatchNorm runs in inference mode.

    `mode` is the preprocessing of keras.applications (`caffe`, `tf`, `torch`, or `none` where the base has its own),
    converted from Keras's own function. For `pooling` see `pool`.
    """
    layers = cuts.tap_names(base)
    results = ["features"] if len(layers) == 1 else [f"features/{name}" for name in layers]
    convertible = substitutions.convertible(base)

    def forward(resized: Any) -> list[Any]:
        return tap_vectors(convertible, preprocess(resized, mode), pooling)

    specification = tf.TensorSpec([None, resize.size, resize.size, 3], tf.uint8, name="resized")
    converted = _convert(convertible, forward, specification)
    preprocessing.fuse_preprocessing(converted)
    model = graphs.join(resize_graph(resize), canonical(converted, "base", "resized", results))
    widths = [graphs.output_width(model, index) for index in range(len(results))]
    layer_list = cuts.list_layers(base, base.name)
    rows = [
        {"layer": layer, "tensor": tensor, "width": width, "depth": round(layer_list.depth(layer), 3)}
        for layer, tensor, width in zip(layers, results, widths, strict=True)
    ]
    if len(results) > 1:
        model = graphs.concatenate_outputs(model, "features")
    graphs.set_metadata(model, {"taps": json.dumps(rows)})
    return model


def convert_head(head: keras.Model) -> onnx.ModelProto:
    """Return the graph from `features`, float32 [N, D], to `probabilities`, float32 [N, classes]."""
    specification = tf.TensorSpec([None, head.input_shape[-1]], tf.float32, name="features")
    converted = _convert(head, lambda x: [head(x, training=False)], specification)
    return canonical(converted, "head", "features", ["probabilities"])


def preprocess(resized: Any, mode: str) -> Any:
    """Return uint8 pixels [N, S, S, 3] as the float32 values that the base was trained on."""
    values = tf.cast(resized, tf.float32)
    return values if mode == "none" else preprocess_input(values, data_format="channels_last", mode=mode)


def keras_forward(base: keras.Model, size: int, mode: str, pooling: str) -> Callable[[Any], list[Any]]:
    """Return Keras's own function from resized images, uint8 [N, S, S, 3], to a vector of each tap, float32 [N, D].

    It runs as a TensorFlow graph, which frees a layer's maps after their last use. A direct call of the network keeps
    all of them, 24 GB for EfficientNetB7.
    """
    forward = tf.function(
        lambda resized: tap_vectors(base, preprocess(resized, mode), pooling),
        input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8)],
    )
    return lambda resized: [np.asarray(vector) for vector in forward(tf.constant(resized))]


def tap_vectors(base: keras.Model, values: Any, pooling: str) -> list[Any]:
    """Return the pooled vectors [N, D] of all outputs of the base for its input `values`."""
    return [pool(output, pooling) for output in keras.tree.flatten(base(values, training=False))]


def pool(output: Any, pooling: str) -> Any:
    """Return an output of a base as vectors [N, D].

    Maps [N, H, W, C] become [N, C] (`avg`, `max`) or [N, H * W * C] (`none`: flattened). Tokens [N, T, D] become [N, D]
    (`avg`, `max`, or `cls`: the first token) or [N, T * D] (`none`). Vectors stay.
    """
    rank = len(output.shape)
    if rank == VECTORS:
        return output
    if pooling == "none":
        return keras.layers.Flatten()(output)
    if pooling == "cls":
        return output[:, 0]
    tokens, maps = keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D
    if pooling == "max":
        tokens, maps = keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D
    return (tokens if rank == TOKENS else maps)()(output)


def _convert(model: keras.Model, forward: Callable[[Any], list[Any]], specification: tf.TensorSpec) -> onnx.ModelProto:
    # from_keras and model.export have open bugs with Keras 3; a tf.function converts every family. These are the steps
    # of tf2onnx.convert.from_function, with our own optimizer passes at the end.
    #
    # TensorFlow copies each weight about 25 times while it makes a constant of it (8 GB for a network of 350 MB).
    # Therefore the function takes the large weights as arguments, and tf2onnx makes constants of them afterwards.
    large = {
        f"weight_{index}": weight
        for index, weight in enumerate(model.weights)
        if len(weight.shape) > 1 and math.prod(weight.shape) > LARGE
    }

    def with_weights(x: Any, *arguments: Any) -> list[Any]:
        with keras.StatelessScope(state_mapping=list(zip(large.values(), arguments, strict=True))):
            return forward(x)

    specifications = [tf.TensorSpec(weight.shape, weight.dtype, name=name) for name, weight in large.items()]
    signature = [specification, *specifications]
    function = tf.function(with_weights, input_signature=signature).get_concrete_function()
    input_names, output_names = (
        [tensor.name for tensor in tensors if tensor.dtype != tf.resource]
        for tensors in (function.inputs, function.outputs)
    )
    frozen = tf_loader.from_function(function, input_names, output_names)
    for node in frozen.node:
        if node.name in large:
            node.op = "Const"
            shape = tf.TensorShape(large[node.name].shape).as_proto()
            node.attr["value"].tensor.CopyFrom(TensorProto(dtype=node.attr["dtype"].type, tensor_shape=shape))
            del node.attr["shape"]
    values = {name: weight.numpy().tobytes() for name, weight in large.items()}
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        converted = process_tf_graph(
            graph,
            opset=graphs.OPSET,
            custom_op_handlers=dict(substitutions.HANDLERS),
            custom_rewriter=substitutions.REWRITERS,
            input_names=input_names[:1],
            output_names=output_names,
            const_node_values=values,
        )
    return channels_first.channels_first(optimizer_passes.optimized(converted).make_model("converted"))
