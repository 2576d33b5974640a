"""Removal of transposes: feature maps stay in the layout of ONNX's convolutions, [N, C, H, W], up to the pooling.

Where a layer's output is a tap and also feeds other layers, tf2onnx transposes the maps to TensorFlow's layout,
[N, H, W, C], for the tap and back again for the next layer. Pooling over the area gives the same in either layout.
"""

import numpy as np
import onnx
from onnx import numpy_helper

TO_CHANNELS_LAST, TO_CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
AREA_CHANNELS_LAST, AREA_CHANNELS_FIRST = [1, 2], [2, 3]
REDUCTIONS = {"ReduceMean", "ReduceMax"}
AXES = "layouts/area"


def channels_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which reductions over the area, and all readers of a transpose and its inverse, read the source.

    Nodes that nothing reads any more stay in the model.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    producers = {name: node for node in graph.node for name in node.output}
    constants = {
        tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in graph.initializer if tensor.dims == [2]
    }
    sources: dict[str, str] = {}
    for node in graph.node:
        transpose = producers.get(node.input[0]) if node.input else None
        if transpose is None or _permutation(transpose) != TO_CHANNELS_LAST:
            continue
        if _permutation(node) == TO_CHANNELS_FIRST:
            sources[node.output[0]] = transpose.input[0]
        elif (
            node.op_type in REDUCTIONS
            and _drops_dimensions(node)
            and constants.get(node.input[1]) == AREA_CHANNELS_LAST
        ):
            node.input[:] = [transpose.input[0], AXES]
    graph.initializer.append(numpy_helper.from_array(np.array(AREA_CHANNELS_FIRST, np.int64), AXES))
    for node in graph.node:
        node.input[:] = [sources.get(name, name) for name in node.input]
    return copy


def _permutation(node: onnx.NodeProto) -> list[int]:
    return list(node.attribute[0].ints) if node.op_type == "Transpose" else []


def _drops_dimensions(node: onnx.NodeProto) -> bool:
    """Tell whether a reduction drops the dimensions it reduces."""
    return any(attribute.name == "keepdims" and attribute.i == 0 for attribute in node.attribute)
