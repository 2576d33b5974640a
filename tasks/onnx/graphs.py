"""ONNX graphs as parts that fit: resize, join, cut apart, describe, write.

Tensor names are the contract between the parts: `image` -> `resized` -> `features` -> `probabilities`.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

import onnx
from onnx import TensorProto, compose, helper, numpy_helper
from onnx.utils import Extractor

from tasks.common.files import atomic_file

OPSET = 18
IR_VERSION = 9


class _Node(Protocol):
    """A node as ONNX and tf2onnx have it: it takes tensors of these names and makes tensors of those."""

    @property
    def input(self) -> Sequence[str]: ...

    @property
    def output(self) -> Sequence[str]: ...


Node = TypeVar("Node", bound=_Node)


def resize_graph(size: int) -> onnx.ModelProto:
    """Return the graph from `image`, uint8 [N, H, W, 3] of any size, to `resized`, uint8 [N, size, size, 3].

    Linear, antialiased, half-pixel, after Pillow's BILINEAR: ONNX Runtime differs from it by a level inside the image
    and by up to about 20 in the outermost row and column when it shrinks. Every stage runs this graph, so that none of
    it is a difference between training and serving.
    """
    nodes = [
        helper.make_node("Shape", ["image"], ["resize/count"], start=0, end=1),
        helper.make_node("Concat", ["resize/count", "resize/shape"], ["resize/sizes"], axis=0),
        helper.make_node(
            "Resize",
            ["image", "", "", "resize/sizes"],
            ["resized"],
            mode="linear",
            antialias=1,
            coordinate_transformation_mode="half_pixel",
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "resize",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("resized", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor("resize/shape", TensorProto.INT64, [3], [size, size, 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def canonical(model: onnx.ModelProto, prefix: str, source: str, results: Sequence[str]) -> onnx.ModelProto:
    """Return the one-input model in canonical form, with its input and its outputs named so.

    The converter's names and orders follow its sets, which change from process to process. Here nodes are ordered by
    depth-first search from the outputs, everything else is numbered in the order of its first use, behind `prefix`/,
    and the first dimension of all ends becomes `N`: equal models become equal bytes.
    """
    ends = list(model.graph.output)
    names = {model.graph.input[0].name: source, "": ""}
    names |= {end.name: result for end, result in zip(ends, results, strict=True)}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    for place, node in enumerate(topological_order(model.graph.node, [end.name for end in ends])):
        for name in node.input:
            if name not in names:
                names[name] = f"{prefix}/constant_{len(initializers)}"
                initializers.append(_relabelled(constants[name], names[name]))
        label = f"{prefix}/{node.op_type}_{place}"
        for slot, name in enumerate(node.output):
            names.setdefault(name, f"{label}:{slot}")
        nodes.append(_renamed(node, label, names))
    graph = helper.make_graph(
        nodes,
        prefix,
        [_batched(model.graph.input[0], source)],
        [_batched(end, result) for end, result in zip(ends, results, strict=True)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def concatenate_outputs(model: onnx.ModelProto, result: str) -> onnx.ModelProto:
    """Return the model with its outputs, [N, D1], [N, D2], ..., joined to one of that name, [N, D1 + D2 + ...]."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    parts = list(copy.graph.output)
    total = sum(output_width(model, place) for place in range(len(parts)))
    copy.graph.node.append(
        helper.make_node("Concat", [part.name for part in parts], [result], name=f"{result}/Concat", axis=1)
    )
    del copy.graph.output[:]
    copy.graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, ["N", total]))
    copy.graph.value_info.extend(parts)
    return copy


def join(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """Feed the output of `first` to the input of `second`; both carry the same name."""
    tensor = first.graph.output[0].name
    model = compose.merge_models(first, second, io_map=[(tensor, second.graph.input[0].name)])
    model.graph.value_info.append(first.graph.output[0])
    model.ir_version = IR_VERSION
    # The merger lists the operator set of each part.
    del model.opset_import[1:]
    return model


def extract(model: onnx.ModelProto, source: str, result: str | Sequence[str]) -> onnx.ModelProto:
    """Return the piece of `model` between two of its tensors, or between one and several."""
    return Extractor(model).extract_model([source], [result] if isinstance(result, str) else list(result))


def digest(model: onnx.ModelProto, source: str, result: str) -> str:
    """Return the SHA-256, in hex, of what computes one tensor of `model` from another, whatever they are called."""
    alone = extract(model, source, result)
    # Weights count by their own SHA-256: a large network's would be copied at each step from here on.
    for tensor in alone.graph.initializer:
        content = sha256(numpy_helper.to_array(tensor).tobytes()).digest()
        kept = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=content)
        tensor.CopyFrom(kept)
    alone = canonical(alone, "part", "source", ["result"])
    return sha256(alone.SerializeToString(deterministic=True)).hexdigest()


def topological_order(nodes: Iterable[Node], ends: Sequence[str]) -> list[Node]:
    """Return the nodes that the tensors `ends` need, each after those whose results it takes, in its inputs' order."""
    makers = {name: node for node in nodes for name in node.output}
    ordered: list[Node] = []
    done: set[int] = set()
    pending = [(makers[end], False) for end in reversed(ends)]
    while pending:
        node, ready = pending.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            ordered.append(node)
        else:
            pending.append((node, True))
            pending += [(makers[name], False) for name in reversed(node.input) if name in makers]
    return ordered


def set_metadata(model: onnx.ModelProto, metadata: Mapping[str, str]) -> None:
    """Set the metadata that travels inside the file, in the order given."""
    helper.set_model_props(model, dict(metadata))
    model.producer_name = "graft"


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata that travels inside the file."""
    return {entry.key: entry.value for entry in model.metadata_props}


def output_width(model: onnx.ModelProto, place: int = 0) -> int:
    """Return the last dimension of the model's output at that place."""
    return int(model.graph.output[place].type.tensor_type.shape.dim[-1].dim_value)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Check the model and write it, the same bytes for the same model."""
    onnx.checker.check_model(model, full_check=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _renamed(node: onnx.NodeProto, label: str, names: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = label
    copy.ClearField("doc_string")
    copy.input[:] = [names[name] for name in node.input]
    copy.output[:] = [names[name] for name in node.output]
    attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
    del copy.attribute[:]
    copy.attribute.extend(attributes)
    return copy


def _relabelled(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy


def _batched(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    kind = value.type.tensor_type
    sizes = [dimension.dim_value for dimension in kind.shape.dim]
    return helper.make_tensor_value_info(name, kind.elem_type, ["N", *sizes[1:]])
