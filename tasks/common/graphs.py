"""ONNX graphs as parts that fit: resize, join, cut apart, describe, write.

Tensor names are the contract between the parts: `image` -> `resized` -> `features` -> `probabilities`.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import TensorProto, compose, helper
from onnx.utils import Extractor

from tasks.common.files import atomic

OPSET = 18
IR_VERSION = 9


def resizing(size: int) -> onnx.ModelProto:
    """Return the graph from `image`, uint8 [N, H, W, 3] of any size, to `resized`, uint8 [N, size, size, 3].

    Linear, antialiased, half-pixel: what Pillow's BILINEAR does, which ONNX Runtime follows.
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


def named(model: onnx.ModelProto, prefix: str, source: str, result: str) -> onnx.ModelProto:
    """Return the one-input, one-output model with those tensors renamed and every other name behind `prefix`/.

    The first dimension of both becomes `N`, and nothing of the converter but its result stays.
    """
    ends = {model.graph.input[0].name: source, model.graph.output[0].name: result}
    graph = helper.make_graph(
        [_renamed(node, prefix, ends) for node in model.graph.node],
        prefix,
        [_batched(model.graph.input[0], source)],
        [_batched(model.graph.output[0], result)],
        [_relabelled(tensor, f"{prefix}/{tensor.name}") for tensor in model.graph.initializer],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def joined(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """Feed the output of `first` to the input of `second`; both carry the same name."""
    tensor = first.graph.output[0].name
    model = compose.merge_models(first, second, io_map=[(tensor, second.graph.input[0].name)])
    model.graph.value_info.append(first.graph.output[0])
    model.ir_version = IR_VERSION
    return model


def part(model: onnx.ModelProto, source: str, result: str) -> onnx.ModelProto:
    """Return the piece of `model` between two of its tensors."""
    return Extractor(model).extract_model([source], [result])


def describe(model: onnx.ModelProto, metadata: Mapping[str, str]) -> None:
    """Set the metadata that travels inside the file, in the order given."""
    helper.set_model_props(model, dict(metadata))
    model.producer_name = "graft"


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata that travels inside the file."""
    return {entry.key: entry.value for entry in model.metadata_props}


def width(model: onnx.ModelProto) -> int:
    """Return the last dimension of the model's output."""
    return int(model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Check the model and write it, the same bytes for the same model."""
    onnx.checker.check_model(model, full_check=True)
    with atomic(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _renamed(node: onnx.NodeProto, prefix: str, ends: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = f"{prefix}/{node.name}"
    copy.ClearField("doc_string")
    copy.input[:] = [name and ends.get(name, f"{prefix}/{name}") for name in node.input]
    copy.output[:] = [name and ends.get(name, f"{prefix}/{name}") for name in node.output]
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
