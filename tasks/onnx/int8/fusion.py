"""Convolutions take in what stands around them: zeros before, scales and shifts behind.

Between two convolutions there is then an activation at most, and nothing that is done in float32.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tasks.onnx import graphs
from tasks.onnx.sessions import Array

Constants = Mapping[str, Array]
MAPS = 4  # axes, [N, C, H, W]


def fuse(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an equal model, but for last bits, whose convolutions of maps hold the constants that stand beside them.

    Padding with zeros becomes a convolution's own; multiplications by and additions of constants (what tf2onnx leaves
    of batch normalization behind depthwise convolutions) go into weights and bias. The model has one input and float32
    weights; the result is in canonical form.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers = defaultdict[str, list[onnx.NodeProto]](list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    ends = [end.name for end in graph.output]
    for node in list(graph.node):
        if is_convolution(node, constants):
            _take_padding(node, makers.get(node.input[0]), constants)
            behind = _behind(node, constants, readers, ends)
            if behind:
                _take_constants(graph, node, behind, constants)
    return graphs.canonical(copy, "base", graph.input[0].name, ends)


def is_convolution(node: onnx.NodeProto, constants: Constants) -> bool:
    """Tell whether the node is a convolution of maps [N, C, H, W] by constants, with padding that is written down."""
    if node.op_type != "Conv" or not set(node.input[1:]) <= constants.keys():
        return False
    automatic = attribute(node, "auto_pad", b"NOTSET") not in {b"NOTSET", b"VALID"}
    return constants[node.input[1]].ndim == MAPS and not automatic


def pads_zeros(node: onnx.NodeProto, constants: Constants) -> bool:
    """Tell whether the node puts zeros around maps [N, C, H, W] and does nothing else."""
    if node.op_type != "Pad" or node.input[1] not in constants or attribute(node, "mode", b"constant") != b"constant":
        return False
    amounts = constants[node.input[1]]
    outward = amounts.shape == (2 * MAPS,) and amounts.min() >= 0 and not amounts[[0, 1, 4, 5]].any()
    value = node.input[2] if node.input[2:] else ""
    zero = not value or not constants.get(value, np.ones(1)).any()
    return bool(outward and zero and not any(node.input[3:]))


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return the value of a node's attribute, or the default where it has none."""
    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)


def set_attribute(node: onnx.NodeProto, name: str, value: object) -> None:
    """Set an attribute of a node, in place of the one of that name."""
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def _take_padding(node: onnx.NodeProto, before: onnx.NodeProto | None, constants: Constants) -> None:
    """Let the node read what the padding before it reads. Where that has other readers, they keep it."""
    if before is None or not pads_zeros(before, constants):
        return
    _, _, top, left, _, _, bottom, right = constants[before.input[1]].tolist()
    own = attribute(node, "pads", [0] * 4)
    set_attribute(node, "pads", np.add(own, [top, left, bottom, right]).tolist())
    set_attribute(node, "auto_pad", "NOTSET")
    node.input[0] = before.input[0]


def _behind(
    node: onnx.NodeProto, constants: Constants, readers: Mapping[str, list[onnx.NodeProto]], ends: list[str]
) -> list[tuple[onnx.NodeProto, Array]]:
    """Return the multiplications and additions behind a convolution, one after the other, with a value a channel."""
    channels = len(constants[node.input[1]])
    found: list[tuple[onnx.NodeProto, Array]] = []
    # A result that has another reader is needed as it is.
    while node.output[0] not in ends and len(readers[node.output[0]]) == 1:
        node = readers[node.output[0]][0]
        known = [constants[name] for name in node.input if name in constants]
        if node.op_type not in {"Mul", "Add"} or len(known) != 1 or known[0].ndim > MAPS:
            break
        if known[0].size != 1 and known[0].shape not in {(1, channels, 1, 1), (channels, 1, 1)}:
            break
        found.append((node, np.broadcast_to(known[0].ravel(), channels)))
    return found


def _take_constants(
    graph: onnx.GraphProto, node: onnx.NodeProto, behind: list[tuple[onnx.NodeProto, Array]], constants: Constants
) -> None:
    """Let the node do what those behind it do, and remove them."""
    weights, *bias = (constants[name].astype(np.float64) for name in node.input[1:])
    shift = bias[0] if bias else np.zeros(len(weights))
    for after, values in behind:
        if after.op_type == "Mul":
            weights, shift = weights * values[:, None, None, None], shift * values
        else:
            shift = shift + values
        node.output[0] = after.output[0]
        graph.node.remove(after)
    for place, values in enumerate((weights, shift), start=1):
        name = f"{node.output[0]}/folded_{place}"
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        node.input[place:] = [name]
