"""The oldest version of ONNX's operators that can express a graph, for runtimes that lag behind.

onnx's own version converter lacks the way down for some operators. Most of them only gained types and options: such a
node is valid in the older version as it is. Reductions are rewritten, because their axes moved from an attribute to an
input; a node that has no older form decides the version.
"""

import onnx
from onnx import TensorProto, defs, helper, numpy_helper, shape_inference

from tasks.onnx import graphs

LOWEST = 11
"""No runtime in use today asks for less, and the inputs of Pad and Clip were attributes before it."""

REDUCTIONS = {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSumExp"}
AXES_BECAME_AN_INPUT = 18
NEW_OPTION = "noop_with_empty_axes"  # of reductions, since the same version
# Before this version they flattened the input; for the last axis of a matrix, both are the same.
NORMALISED_OVER_REST = {"Softmax", "LogSoftmax", "Hardmax"}
NORMALISES_ONE_AXIS = 13


def lower_opset(model: onnx.ModelProto, lowest: int = LOWEST) -> onnx.ModelProto:
    """Return the model with the oldest version of operators, at least `lowest`, in which all its nodes are valid.

    The numbers that it computes stay the same. Graphs with branches or loops are returned as they are.
    """
    version = graphs.opset(model)
    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute):
        return model
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    oldest = max([lowest, *(_oldest(node, version, lowest, types, ranks, constants) for node in model.graph.node)])
    if oldest >= version:
        return model
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    for node in lowered.graph.node:
        if oldest < AXES_BECAME_AN_INPUT and _has_constant_axes(node, constants):
            axes = numpy_helper.to_array(constants[node.input[1]]).tolist()
            kept_attributes = [entry for entry in node.attribute if entry.name != NEW_OPTION]
            del node.input[1], node.attribute[:]
            node.attribute.extend([*kept_attributes, helper.make_attribute("axes", axes)])
    used = {name for node in lowered.graph.node for name in node.input}
    kept = [tensor for tensor in lowered.graph.initializer if tensor.name in used]
    del lowered.graph.initializer[:]
    lowered.graph.initializer.extend(kept)
    imports = [helper.make_opsetid("", oldest)]
    del lowered.opset_import[:]
    lowered.opset_import.extend(imports)
    lowered.ir_version = helper.find_min_ir_version_for(imports)
    onnx.checker.check_model(lowered, full_check=True)
    return lowered


def _oldest(
    node: onnx.NodeProto,
    version: int,
    lowest: int,
    types: dict[str, int],
    ranks: dict[str, int],
    constants: dict[str, TensorProto],
) -> int:
    """Return the oldest version, at least `lowest`, in which the node is valid or has an older form."""
    inputs = list(node.input)
    attributes = {attribute.name for attribute in node.attribute}
    oldest = version
    for candidate in range(version - 1, lowest - 1, -1):
        if candidate < AXES_BECAME_AN_INPUT and _has_constant_axes(node, constants):
            inputs, attributes = inputs[:1], attributes | {"axes"}
            attributes -= {NEW_OPTION}
        if node.op_type in NORMALISED_OVER_REST and candidate < NORMALISES_ONE_AXIS and ranks.get(inputs[0]) != 2:  # noqa: PLR2004
            break
        try:
            schema = defs.get_schema(node.op_type, candidate, node.domain)
        except defs.SchemaError:
            break
        if not _is_valid(inputs, attributes, schema, types):
            break
        oldest = candidate
    return oldest


def _is_valid(inputs: list[str], attributes: set[str], schema: defs.OpSchema, types: dict[str, int]) -> bool:
    if len(inputs) > schema.max_input or not attributes <= set(schema.attributes):
        return False
    allowed = {constraint.type_param_str: constraint.allowed_type_strs for constraint in schema.type_constraints}
    for position, name in enumerate(inputs):
        formal = schema.inputs[min(position, len(schema.inputs) - 1)]
        expected = allowed.get(formal.type_str, [formal.type_str])
        if name and types.get(name) and f"tensor({TensorProto.DataType.Name(types[name]).lower()})" not in expected:
            return False
    return True


def _has_constant_axes(node: onnx.NodeProto, constants: dict[str, TensorProto]) -> bool:
    return node.op_type in REDUCTIONS and len(node.input) > 1 and node.input[1] in constants
