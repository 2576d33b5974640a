"""Graphs that contain graphs: bodies of control flow, functions, and the nodes, tensors and texts at every depth."""

from collections.abc import Iterable, Iterator
from typing import Any

import onnx
from onnx import AttributeProto, helper


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the bodies of a node of control flow (If, Loop, Scan); none for other nodes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield the graph and the bodies in it, at every depth."""
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        pending += [body for node in current.node for body in subgraphs(node)]


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of the graph at every depth."""
    return (node for part in all_graphs(graph) for node in part.node)


def all_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield the tensors of the graph at every depth: weights, and constants in attributes of nodes."""
    for part in all_graphs(graph):
        yield from part.initializer
        for node in part.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def all_texts(message: Any) -> Iterator[object]:
    """Yield the texts of a protobuf message at every depth: str, or bytes where a file has a text that is not UTF-8."""
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        if field.type == field.TYPE_STRING:
            yield from values
        elif field.type == field.TYPE_MESSAGE:
            for part in values:
                yield from all_texts(part)


def count_inlined(model: onnx.ModelProto) -> int:
    """Return how many nodes the model has when each call of one of its functions is replaced by the function's nodes.

    A function that calls itself counts as nothing.
    """
    functions = {(function.domain, function.name, function.overload): function.node for function in model.functions}
    counts: dict[tuple[str, str, str], int] = {}

    def count(nodes: Iterable[onnx.NodeProto]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type, node.overload)
            if key in functions and key not in counts:
                counts[key] = 0
                counts[key] = count(functions[key])
            total += counts.get(key, 1) + sum(count(body.node) for body in subgraphs(node))
        return total

    return count(model.graph.node)


def has_control_flow(graph: onnx.GraphProto) -> bool:
    """Tell whether a node has bodies, which may read any tensor outside them."""
    return any(True for node in graph.node for _ in subgraphs(node))


def names_read(node: onnx.NodeProto) -> list[str]:
    """Return the names that the node reads; all names that its bodies mention count too."""
    names = list(node.input)
    for body in subgraphs(node):
        for part in all_graphs(body):
            names += [output.name for output in part.output]
            names += [name for inner in part.node for name in inner.input]
    return names


def prune(graph: onnx.GraphProto, output: str) -> None:
    """Keep, in place, only what one output of the graph needs, and drop notes and inferred types.

    The nodes are in topological order, as ONNX demands.
    """
    read, nodes = {output}, []
    for node in reversed(graph.node):
        read.discard("")  # stands for an input or an output that a node leaves out
        if read.intersection(node.output):
            nodes.append(node)
            read.update(names_read(node))
    outputs = [value for value in graph.output if value.name == output]
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    pruned = helper.make_graph(nodes[::-1], "encoder", list(graph.input), outputs, weights)
    for part in all_graphs(pruned):
        del part.value_info[:]
        for message in (part, *part.node, *part.initializer, *part.input, *part.output):
            # Exporters note stack traces with the paths of their machine.
            message.ClearField("doc_string")
            message.ClearField("metadata_props")
    graph.CopyFrom(pruned)
