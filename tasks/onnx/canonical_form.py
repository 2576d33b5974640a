"""The canonical form of ONNX graphs: equal computations have equal bytes and equal digests."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Protocol, TypeVar

import onnx
from onnx import helper, numpy_helper

from tasks.onnx import graphs


class _Node(Protocol):
    """The part that a node of ONNX and a node of tf2onnx have in common: the names of its inputs and outputs."""

    @property
    def input(self) -> Sequence[str]: ...

    @property
    def output(self) -> Sequence[str]: ...


Node = TypeVar("Node", bound=_Node)


def canonical(model: onnx.ModelProto, prefix: str, input_name: str, output_names: Sequence[str]) -> onnx.ModelProto:
    """Return the model, which has one input, in canonical form, with its input and its outputs renamed.

    The names and orders that tf2onnx writes differ from process to process, because it iterates over sets. Here nodes
    are ordered by depth-first search from the outputs, all other names are `prefix`/ and a number in the order of
    first use, and the first dimension of the input and of each output becomes `N`: equal models have equal bytes.
    """
    graph = model.graph
    outputs = list(graph.output)
    new_names = {graph.input[0].name: input_name, "": ""}
    new_names |= {output.name: name for output, name in zip(outputs, output_names, strict=True)}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    for index, node in enumerate(topological_order(graph.node, [output.name for output in outputs])):
        for name in node.input:
            if name not in new_names:
                new_names[name] = f"{prefix}/constant_{len(initializers)}"
                initializers.append(_rename_tensor(constants[name], new_names[name]))
        node_name = f"{prefix}/{node.op_type}_{index}"
        for slot, name in enumerate(node.output):
            new_names.setdefault(name, f"{node_name}:{slot}")
        nodes.append(_rename_node(node, node_name, new_names))
    renamed = helper.make_graph(
        nodes,
        prefix,
        [_rename_batch(graph.input[0], input_name)],
        [_rename_batch(output, name) for output, name in zip(outputs, output_names, strict=True)],
        initializers,
    )
    return graphs.make_model(renamed, graphs.opset(model))


def digest(model: onnx.ModelProto, input_name: str, output_name: str) -> str:
    """Return the SHA-256, in hex, of the computation that leads from one tensor to another, whatever their names."""
    part = graphs.extract(model, input_name, output_name)
    # Each weight is replaced by its own SHA-256, because every later step copies the graph.
    for tensor in part.graph.initializer:
        content = sha256(numpy_helper.to_array(tensor).tobytes()).digest()
        tensor.CopyFrom(
            onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=content)
        )
    part = canonical(part, "part", "source", ["result"])
    return sha256(part.SerializeToString(deterministic=True)).hexdigest()


def topological_order(nodes: Iterable[Node], output_names: Sequence[str]) -> list[Node]:
    """Return the nodes that the outputs need, each after the nodes that make its inputs, in the order of these."""
    producers = {name: node for node in nodes for name in node.output if name}
    ordered: list[Node] = []
    done: set[int] = set()
    pending = [(producers[name], False) for name in reversed(output_names)]
    while pending:
        node, inputs_done = pending.pop()
        if id(node) in done:
            continue
        if inputs_done:
            done.add(id(node))
            ordered.append(node)
        else:
            pending.append((node, True))
            pending += [(producers[name], False) for name in reversed(node.input) if name in producers]
    return ordered


def _rename_node(node: onnx.NodeProto, node_name: str, new_names: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = node_name
    for field in ("doc_string", "metadata_props"):
        copy.ClearField(field)
    copy.input[:] = [new_names[name] for name in node.input]
    copy.output[:] = [new_names[name] for name in node.output]
    attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
    del copy.attribute[:]
    copy.attribute.extend(attributes)
    return copy


def _rename_tensor(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy


def _rename_batch(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    """Return an input or output with that name whose first dimension is `N`."""
    tensor_type = value.type.tensor_type
    sizes = [dimension.dim_value for dimension in tensor_type.shape.dim]
    return helper.make_tensor_value_info(name, tensor_type.elem_type, ["N", *sizes[1:]])
