"""QDQ form: QuantizeLinear and DequantizeLinear nodes that mark which numbers of a graph have 8 bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tasks.images.decoding import Pixels
from tasks.onnx.int8.calibration import calibrate
from tasks.onnx.int8.fusion import get_attribute, is_convolution, is_zero_padding, set_attribute
from tasks.onnx.sessions import Array

# Processors without VNNI add two products in 16 bits and saturate silently; 2 * 255 * 64 still fits.
WEIGHT_LEVELS = 64
# Operators that read 8-bit numbers where these exist. All others (the pooling of a tap, activations) read float32.
INT8_OPERATORS = {"Add", "AveragePool", "Concat", "Conv", "MatMul", "MaxPool", "Pad", "Transpose"}


def insert_qdq(base: onnx.ModelProto, images: Pixels | None = None) -> None:
    """Quantize a fused base in place: weights per channel to int8, the inputs of its layers to uint8.

    The ranges are those of `images`, uint8 [n, S, S, 3]; None: of the fixed calibration images. With images, layers
    that compute in float32 have weights in int8 too, since the file is to be small.
    """
    builder = _QdqBuilder(base, images)
    for node in base.graph.node:
        builder.add(node)
    base.graph.initializer.extend(builder.initializers)
    del base.graph.node[:]
    base.graph.node.extend(builder.nodes)


class _QdqBuilder:
    """Collects the nodes of a quantized graph; `add` takes the nodes of the float32 graph in topological order."""

    def __init__(self, base: onnx.ModelProto, images: Pixels | None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in base.graph.initializer}
        self._producers = {name: node for node in base.graph.node for name in node.output}
        inputs = [node.input[0] for node in base.graph.node if self._has_weights(node)]
        calibrations = calibrate(base, sorted({*inputs, *map(self._origin, inputs)}), images)
        self._means = {name: calibrations[name].channel_means for name in inputs}
        # Maps of one pixel (squeeze and excitation) cost little time, and their errors would scale whole maps.
        self._inputs = {name: calibrations[name] for name in inputs if not calibrations[name].is_single_pixel}
        self._origins = {name: calibrations[name] for name in map(self._origin, self._inputs)}
        self._dequantized: dict[str, str] = {}
        self._all_weights = images is not None

    def add(self, node: onnx.NodeProto) -> None:
        """Add a node, with the nodes that quantize its weights and its outputs."""
        is_quantized = self._has_weights(node) and node.input[0] in self._inputs
        if is_quantized or (self._all_weights and self._has_weights(node)):
            self._quantize_weights(node)
        if node.op_type in INT8_OPERATORS:
            node.input[:] = [self._dequantized.get(name, name) for name in node.input]
        if is_quantized and node.op_type == "Conv":
            self._move_stride(node)
        self.nodes.append(node)
        for name in node.output:
            if name in self._origins:
                self._quantize(name)

    def _has_weights(self, node: onnx.NodeProto) -> bool:
        """Tell whether the node is a convolution or a dense layer with constant float32 weights."""
        weights = self._constants.get(node.input[1]) if len(node.input) > 1 else None
        is_matrix = weights is not None and weights.ndim == 2 and weights.dtype == np.float32  # noqa: PLR2004
        return (node.op_type == "MatMul" and is_matrix) or is_convolution(node, self._constants)

    def _origin(self, name: str) -> str:
        """Return the tensor before any pooling, transposition and padding, which work on 8-bit numbers as they are."""
        while (producer := self._producers.get(name)) is not None:
            if producer.op_type not in {"MaxPool", "Transpose"} and not is_zero_padding(producer, self._constants):
                break
            name = producer.input[0]
        return name

    def _quantize(self, name: str) -> None:
        grid = [
            self._constant(f"{name}/scale", self._origins[name].scale),
            self._constant(f"{name}/zero_point", self._origins[name].zero_point),
        ]
        self._node("QuantizeLinear", [name, *grid], f"{name}/quantized")
        self._dequantized[name] = self._node("DequantizeLinear", [f"{name}/quantized", *grid], f"{name}/dequantized")

    def _quantize_weights(self, node: onnx.NodeProto) -> None:
        weights, axis = self._constants[node.input[1]], 0 if node.op_type == "Conv" else 1
        largest = np.abs(weights).max(tuple(set(range(weights.ndim)) - {axis}), keepdims=True)
        scale = np.where(largest > 0, largest, 1) / np.float32(WEIGHT_LEVELS)
        levels = np.rint(weights / scale).astype(np.int8)
        if node.op_type == "Conv":
            self._correct_bias(node, levels * scale - weights)
        name = f"{node.output[0]}/weights"
        inputs = [self._constant(f"{name}/quantized", levels), self._constant(f"{name}/scale", scale.ravel())]
        node.input[1] = self._node("DequantizeLinear", inputs, name, axis=axis)

    def _correct_bias(self, node: onnx.NodeProto, errors: Array) -> None:
        """Subtract from the bias the mean that the rounding errors of the weights, [O, I, H, W], add to each channel.

        In depthwise convolutions, whose few weights are rounded in the same direction, this is most of the error.
        """
        groups = int(get_attribute(node, "group", 1))
        means = self._means[node.input[0]].reshape(groups, 1, -1)
        sums = errors.sum(axis=(2, 3), dtype=np.float64).reshape(groups, -1, means.shape[-1])
        bias = self._constants[node.input[2]] if node.input[2:] else np.zeros(len(errors))
        corrected = bias - (sums * means).sum(axis=2).ravel()
        node.input[2:] = [self._constant(f"{node.output[0]}/bias", corrected.astype(np.float32))]

    def _move_stride(self, node: onnx.NodeProto) -> None:
        """Move the stride of a 1x1 convolution into a 1x1 pooling before it.

        OpenVINO would do the same by itself, but between the two halves of DequantizeLinear, and then compute in
        float32.
        """
        strides = get_attribute(node, "strides", [1, 1])
        if get_attribute(node, "kernel_shape", []) != [1, 1] or strides == [1, 1]:
            return
        name = f"{node.output[0]}/strided"
        node.input[0] = self._node("MaxPool", [node.input[0]], name, kernel_shape=[1, 1], strides=strides)
        set_attribute(node, "strides", [1, 1])

    def _constant(self, name: str, value: object) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], **attributes))
        return output
