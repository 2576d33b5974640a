"""Substitutions for the layers and operations that tf2onnx cannot convert, by others that compute the same."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

ELEMENTWISE = {"Add", "AddV2"}


def convertible(model: keras.Model) -> keras.Model:
    """Return the model with the layers that tf2onnx cannot convert replaced (two kinds, both in ConvNeXt).

    A convolution with a group for each channel becomes a depthwise convolution, since Keras compiles grouped
    convolutions with XLA on CPUs, and compiled code cannot be converted. A normalization by constants becomes a
    rescaling, since tf2onnx takes the constants for inputs. All other layers are shared with `model`; with nothing to
    replace, `model` itself is returned.
    """
    if not any(map(_needs_replacing, model.layers)):
        return model

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if _is_depthwise(layer):
            return _depthwise(layer)
        return _rescaling(layer) if _is_constant_normalization(layer) else layer

    clone = keras.models.clone_model(model, clone_function=replace)
    for layer in filter(_is_depthwise, model.layers):
        kernel, *bias = layer.get_weights()
        clone.get_layer(layer.name).set_weights([kernel.transpose(0, 1, 3, 2), *bias])
    return clone


def scalars_as_vectors(graph: Any, nodes: list[Any]) -> list[Any]:
    """Give the scalar constants of additions in a graph of tf2onnx a dimension.

    tf2onnx's optimizer takes an addition after a convolution for a bias and fails on a scalar (MobileNetV3's x + 3).
    """
    for node in nodes:
        if node.type not in ELEMENTWISE:
            continue
        for source, constant in zip(node.input, node.inputs, strict=True):
            if constant is not None and constant.is_const() and constant.get_tensor_value(as_list=False).ndim == 0:
                value = constant.get_tensor_value(as_list=False).reshape(1)
                graph.replace_input(node, source, graph.make_const(f"{node.name}/vector", value).output[0])
    return nodes


def erfc(graph: Any, node: Any, _name: str, _arguments: list[Any]) -> Any:
    """Convert Erfc, which ONNX lacks, to 1 - Erf (ConvNeXt's GELU); its error is float32's rounding error at 1."""
    erf = graph.make_node("Erf", node.input, shapes=node.output_shapes, dtypes=node.output_dtypes)
    unit = graph.make_const(f"{node.name}/one", np.ones(1, np.float32))
    graph.remove_node(node.name)
    return graph.make_node(
        "Sub",
        [unit.output[0], erf.output[0]],
        name=node.name,
        outputs=node.output,
        shapes=erf.output_shapes,
        dtypes=erf.output_dtypes,
    )


HANDLERS: dict[str, tuple[Callable[..., Any], list[Any]]] = {"Erfc": (erfc, [])}
REWRITERS: list[Callable[..., Any]] = [scalars_as_vectors]


def _needs_replacing(layer: keras.layers.Layer) -> bool:
    return _is_depthwise(layer) or _is_constant_normalization(layer)


def _is_depthwise(layer: keras.layers.Layer) -> bool:
    return (
        isinstance(layer, keras.layers.Conv2D)
        and not isinstance(layer, keras.layers.DepthwiseConv2D)
        and layer.groups > 1
        and layer.groups == layer.filters == layer.input.shape[-1]
    )


def _depthwise(layer: keras.layers.Conv2D) -> keras.layers.DepthwiseConv2D:
    return keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        dilation_rate=layer.dilation_rate,
        activation=layer.activation,
        use_bias=layer.use_bias,
        name=layer.name,
    )


def _is_constant_normalization(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.Normalization) and layer.input_mean is not None and not layer.invert


def _rescaling(layer: keras.layers.Normalization) -> keras.layers.Rescaling:
    mean = np.asarray(layer.input_mean, np.float64)
    scale = 1 / np.maximum(np.sqrt(np.asarray(layer.input_variance, np.float64)), keras.config.epsilon())
    return keras.layers.Rescaling(scale.tolist(), (-mean * scale).tolist(), name=layer.name)
