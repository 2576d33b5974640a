"""Fusion: fold padding, multiplications and additions of constants into the convolutions next to them.

At most an activation then remains between two convolutions, so no arithmetic between them needs float32.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tasks.onnx.canonical_form import canonical
from tasks.onnx.sessions import Array

Constants = Mapping[str, Array]
MAP_AXES = 4  # feature maps are [N, C, H, W]


class _ChannelOperation(NamedTuple):
    """A multiplication by a constant, or an addition of one, with a value for each channel, [C]."""

    node: onnx.NodeProto
    values: Array


def fuse(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an equal model, up to rounding in the last bits, with fewer nodes around its convolutions.

    Zero padding becomes the padding of the convolution itself. Multiplications by constants and additions of constants
    (which tf2onnx leaves of batch normalization after depthwise convolutions) go into its weights and bias. The model
    has one input and float32 weights; the result is in canonical form.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    consumers = defaultdict[str, list[onnx.NodeProto]](list)
    for node in graph.node:
        for name in node.input:
            consumers[name].append(node)
    output_names = [output.name for output in graph.output]
    for node in list(graph.node):
        if is_convolution(node, constants):
            _absorb_padding(node, producers.get(node.input[0]), constants)
            operations = _following_operations(node, constants, consumers, output_names)
            if operations:
                _absorb_operations(graph, node, operations, constants)
    return canonical(copy, "base", graph.input[0].name, output_names)


def is_convolution(node: onnx.NodeProto, constants: Constants) -> bool:
    """Tell whether the node convolves maps [N, C, H, W] with constant float32 weights and explicit padding."""
    if node.op_type != "Conv" or not set(node.input[1:]) <= constants.keys():
        return False
    has_explicit_padding = get_attribute(node, "auto_pad", b"NOTSET") in {b"NOTSET", b"VALID"}
    weights = constants[node.input[1]]
    return weights.ndim == MAP_AXES and weights.dtype == np.float32 and has_explicit_padding


def is_zero_padding(node: onnx.NodeProto, constants: Constants) -> bool:
    """Tell whether the node only adds zeros around feature maps [N, C, H, W]."""
    mode = get_attribute(node, "mode", b"constant")
    if node.op_type != "Pad" or node.input[1] not in constants or mode != b"constant":
        return False
    amounts = constants[node.input[1]]
    pads_maps = amounts.shape == (2 * MAP_AXES,) and amounts.min() >= 0 and not amounts[[0, 1, 4, 5]].any()
    value = node.input[2] if node.input[2:] else ""
    pads_with_zeros = not value or not constants.get(value, np.ones(1)).any()
    return bool(pads_maps and pads_with_zeros and not any(node.input[3:]))


def get_attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return the value of a node's attribute, or the default if the node does not have it."""
    values = (helper.get_attribute_value(attribute) for attribute in node.attribute if attribute.name == name)
    return next(values, default)


def set_attribute(node: onnx.NodeProto, name: str, value: object) -> None:
    """Set an attribute of a node, replacing any value that it has."""
    others = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, helper.make_attribute(name, value)])


def _absorb_padding(node: onnx.NodeProto, producer: onnx.NodeProto | None, constants: Constants) -> None:
    """Move the zero padding before a convolution into it. The Pad node stays; other nodes may read its output."""
    if producer is None or not is_zero_padding(producer, constants):
        return
    _, _, top, left, _, _, bottom, right = constants[producer.input[1]].tolist()
    padding = get_attribute(node, "pads", [0] * 4)
    set_attribute(node, "pads", np.add(padding, [top, left, bottom, right]).tolist())
    set_attribute(node, "auto_pad", "NOTSET")
    node.input[0] = producer.input[0]


def _following_operations(
    node: onnx.NodeProto, constants: Constants, consumers: Mapping[str, list[onnx.NodeProto]], output_names: list[str]
) -> list[_ChannelOperation]:
    """Return the chain of multiplications and additions of constants per channel that follows a convolution."""
    channels = len(constants[node.input[1]])
    operations: list[_ChannelOperation] = []
    # The chain ends where the unscaled result is needed too: as an output or by a second consumer.
    while node.output[0] not in output_names and len(consumers[node.output[0]]) == 1:
        node = consumers[node.output[0]][0]
        operands = [constants[name] for name in node.input if name in constants]
        if node.op_type not in {"Mul", "Add"} or len(operands) != 1 or operands[0].ndim > MAP_AXES:
            break
        if operands[0].size != 1 and operands[0].shape not in {(1, channels, 1, 1), (channels, 1, 1)}:
            break
        operations.append(_ChannelOperation(node, np.broadcast_to(operands[0].ravel(), channels)))
    return operations


def _absorb_operations(
    graph: onnx.GraphProto, node: onnx.NodeProto, operations: list[_ChannelOperation], constants: Constants
) -> None:
    """Fold the operations into the weights and bias of a convolution and remove their nodes."""
    weights, *bias = (constants[name].astype(np.float64) for name in node.input[1:])
    shift = bias[0] if bias else np.zeros(len(weights))
    for operation in operations:
        if operation.node.op_type == "Mul":
            weights, shift = weights * operation.values[:, None, None, None], shift * operation.values
        else:
            shift = shift + operation.values
        node.output[0] = operation.node.output[0]
        graph.node.remove(operation.node)
    for position, values in enumerate((weights, shift), start=1):
        name = f"{node.output[0]}/fused_{position}"
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        node.input[position:] = [name]
