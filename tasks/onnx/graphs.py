"""ONNX graphs as building blocks: make the resize, join graphs, extract parts, read and write metadata, save.

The blocks fit together by the names of their tensors: `image` -> `resized` -> `features` -> `probabilities`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, compose, helper
from onnx.utils import Extractor

from tasks.common.files import atomic_file

OPSET = 18
IR_VERSION = 9


def resize_graph(size: int) -> onnx.ModelProto:
    """Return the graph from `image`, uint8 [N, H, W, 3] of any size, to `resized`, uint8 [N, size, size, 3].

    The filter is linear and antialiased with half-pixel centres, like Pillow's BILINEAR. ONNX Runtime differs from
    Pillow by one level inside the image and, when it shrinks, by up to about 20 in the outermost rows and columns.
    Every stage runs this graph, so training and serving do not differ.
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


def concatenate_outputs(model: onnx.ModelProto, output_name: str) -> onnx.ModelProto:
    """Return the model with its outputs, [N, D1], [N, D2], ..., concatenated to one, [N, D1 + D2 + ...]."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    outputs = list(copy.graph.output)
    width = sum(output_width(model, position) for position in range(len(outputs)))
    copy.graph.node.append(
        helper.make_node(
            "Concat", [output.name for output in outputs], [output_name], name=f"{output_name}/Concat", axis=1
        )
    )
    del copy.graph.output[:]
    copy.graph.output.append(helper.make_tensor_value_info(output_name, TensorProto.FLOAT, ["N", width]))
    copy.graph.value_info.extend(outputs)
    return copy


def join(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that feeds the output of `first` to the input of `second`; both tensors have the same name."""
    output = first.graph.output[0]
    model = compose.merge_models(first, second, io_map=[(output.name, second.graph.input[0].name)])
    model.graph.value_info.append(output)
    model.ir_version = IR_VERSION
    # merge_models lists the operator set of both graphs.
    del model.opset_import[1:]
    return model


def extract(model: onnx.ModelProto, input_name: str, output_names: str | Sequence[str]) -> onnx.ModelProto:
    """Return the part of `model` that leads from one of its tensors to another, or to several."""
    names = [output_names] if isinstance(output_names, str) else list(output_names)
    return Extractor(model).extract_model([input_name], names)


def set_metadata(model: onnx.ModelProto, metadata: Mapping[str, str]) -> None:
    """Replace the metadata inside the file; the order of the keys is kept."""
    helper.set_model_props(model, dict(metadata))
    model.producer_name = "graft"


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """Return the metadata inside the file."""
    return {entry.key: entry.value for entry in model.metadata_props}


def output_width(model: onnx.ModelProto, position: int = 0) -> int:
    """Return the size of the last dimension of the model's output at that position."""
    return int(model.graph.output[position].type.tensor_type.shape.dim[-1].dim_value)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Check the model and write it; equal models are written as equal bytes.

    Raises:
        onnx.checker.ValidationError: the model is not valid ONNX; nothing is written.
    """
    onnx.checker.check_model(model, full_check=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
