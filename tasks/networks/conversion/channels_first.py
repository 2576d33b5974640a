"""Maps kept in the order that ONNX's convolutions work in, [N, C, H, W], up to where they become vectors.

Where the output of a layer is a tap and goes on as well, tf2onnx turns the maps to TensorFlow's order, [N, H, W, C],
for the tap, and back for the next layer. Averaging does not mind the order.
"""

import numpy as np
import onnx
from onnx import numpy_helper

LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
AREA_LAST, AREA_FIRST = [1, 2], [2, 3]
REDUCTIONS = {"ReduceMean", "ReduceMax"}
AXES = "layouts/area"


def channels_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with reductions over the area, and layers that undo a transpose, reading maps as they are made.

    What nothing reads any more stays in the model.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {
        tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in graph.initializer if tensor.dims == [2]
    }
    undone: dict[str, str] = {}
    for node in graph.node:
        turned = makers.get(node.input[0]) if node.input else None
        if turned is None or _order(turned) != LAST:
            continue
        if _order(node) == FIRST:
            undone[node.output[0]] = turned.input[0]
        elif node.op_type in REDUCTIONS and _drops(node) and constants.get(node.input[1]) == AREA_LAST:
            node.input[:] = [turned.input[0], AXES]
    graph.initializer.append(numpy_helper.from_array(np.array(AREA_FIRST, np.int64), AXES))
    for node in graph.node:
        node.input[:] = [undone.get(name, name) for name in node.input]
    return copy


def _order(node: onnx.NodeProto) -> list[int]:
    return list(node.attribute[0].ints) if node.op_type == "Transpose" else []


def _drops(node: onnx.NodeProto) -> bool:
    """Tell whether a reduction drops the dimensions it reduces."""
    return any(attribute.name == "keepdims" and attribute.i == 0 for attribute in node.attribute)
