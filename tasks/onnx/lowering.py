"""The oldest version of ONNX's operators that can express a graph, for runtimes that lag behind.

onnx's own version converter lacks the way down for some operators. Most of them only gained types and options: such a
node is valid in the older version as it is. Where a list of whole numbers moved from an attribute to an input, it is
moved back. A node that has no older form decides the version.
"""

from collections.abc import Mapping
from typing import NamedTuple

import onnx
from onnx import TensorProto, defs, helper, numpy_helper, shape_inference

from tasks.onnx import graphs

LOWEST = 11
"""No runtime in use today asks for less, and the inputs of Pad and Clip were attributes before it."""

# By operator, the version in which its second input took the place of an attribute, and the name of the attribute.
MOVED = {
    **{
        f"Reduce{kind}": (18, "axes")
        for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
    },
    **dict.fromkeys(("ReduceSum", "Squeeze", "Unsqueeze"), (13, "axes")),
    "Split": (13, "split"),
}
# Options that came later, whose default is what the older version does.
NEW_OPTIONS = {"noop_with_empty_axes"}
# Before this version they flattened the input; for the last axis of a matrix, both are the same.
NORMALISED_OVER_REST = {"Softmax", "LogSoftmax", "Hardmax"}
NORMALISES_ONE_AXIS = 13
MATRIX = 2


class _Tensors(NamedTuple):
    """Facts of the tensors of a graph by name: element types and ranks, as far as known, and the constants."""

    types: Mapping[str, int]
    ranks: Mapping[str, int]
    constants: Mapping[str, TensorProto]


def lower_opset(model: onnx.ModelProto, lowest: int = LOWEST) -> onnx.ModelProto:
    """Return the model with the oldest version of operators, at least `lowest`, in which all its nodes are valid.

    Graphs with branches or loops are returned as they are. Versions differ in details of what operators compute too, so
    the caller compares results.
    """
    version = graphs.opset(model)
    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        return model
    tensors = _tensors(model)
    oldest = max([lowest, *(_oldest(node, version, lowest, tensors) for node in model.graph.node)])
    if oldest >= version:
        return model
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    nodes = [_older_form(node, oldest, tensors.constants) for node in model.graph.node]
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    lowered.graph.ClearField("node")
    lowered.graph.ClearField("initializer")
    lowered.graph.node.extend(nodes)
    lowered.graph.initializer.extend(kept)
    imports = [helper.make_opsetid("", oldest)]
    lowered.ClearField("opset_import")
    lowered.opset_import.extend(imports)
    lowered.ir_version = helper.find_min_ir_version_for(imports)
    return lowered


def _tensors(model: onnx.ModelProto) -> _Tensors:
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    return _Tensors(types, ranks, {tensor.name: tensor for tensor in model.graph.initializer})


def _oldest(node: onnx.NodeProto, version: int, lowest: int, tensors: _Tensors) -> int:
    """Return the oldest version, at least `lowest`, in which the node is valid or has an older form."""
    oldest = version
    for candidate in range(version - 1, lowest - 1, -1):
        is_flattening = node.op_type in NORMALISED_OVER_REST and candidate < NORMALISES_ONE_AXIS
        if is_flattening and tensors.ranks.get(node.input[0]) != MATRIX:
            break
        if not _is_valid(_older_form(node, candidate, tensors.constants), candidate, tensors.types):
            break
        oldest = candidate
    return oldest


def _older_form(node: onnx.NodeProto, version: int, constants: Mapping[str, TensorProto]) -> onnx.NodeProto:
    """Return the node as that version writes it, or as it is where nothing has moved."""
    since, name = MOVED.get(node.op_type, (0, ""))
    if version >= since:
        return node
    older = onnx.NodeProto()
    older.CopyFrom(node)
    del older.attribute[:]
    older.attribute.extend(entry for entry in node.attribute if entry.name not in NEW_OPTIONS)
    if len(node.input) > 1 and node.input[1] in constants:
        del older.input[1]
        older.attribute.append(helper.make_attribute(name, numpy_helper.to_array(constants[node.input[1]]).tolist()))
    return older


def _is_valid(node: onnx.NodeProto, version: int, types: Mapping[str, int]) -> bool:
    """Tell whether that version of the operators has the node with its attributes and the types of its inputs."""
    try:
        schema = defs.get_schema(node.op_type, version, node.domain)
    except defs.SchemaError:
        return False
    attributes = {attribute.name for attribute in node.attribute}
    if len(node.input) > schema.max_input or not attributes <= set(schema.attributes):
        return False
    allowed = {constraint.type_param_str: constraint.allowed_type_strs for constraint in schema.type_constraints}
    for position, name in enumerate(node.input):
        formal = schema.inputs[min(position, len(schema.inputs) - 1)]
        expected = allowed.get(formal.type_str, [formal.type_str])
        if name and types.get(name) and f"tensor({TensorProto.DataType.Name(types[name]).lower()})" not in expected:
            return False
    return True
