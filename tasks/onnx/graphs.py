"""ONNX graphs as building blocks: join graphs, extract parts, read and write metadata, save.

The blocks fit together by the names of their tensors: `image` -> `resized` -> `features` -> `probabilities`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, compose, helper, version_converter
from onnx.utils import Extractor

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file

OPSET = 18
IR_VERSION = 9


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


def make_model(graph: onnx.GraphProto, version: int = OPSET) -> onnx.ModelProto:
    """Return the graph as a model with that version of ONNX's operators, and the file format that it needs."""
    opset_import = helper.make_opsetid("", version)
    file_format = max(IR_VERSION, helper.find_min_ir_version_for([opset_import]))
    return helper.make_model(graph, opset_imports=[opset_import], ir_version=file_format)


def opset(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's operators that the model uses; 0 if it does not say."""
    return max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=0)


def select_taps(model: onnx.ModelProto, layers: Sequence[str]) -> onnx.ModelProto:
    """Return the backbone graph with only the taps of these layers, in its own order, and the nodes that they need.

    `features` joins the vectors of these taps, and the metadata `taps` names them. With all taps the graph stays as it
    is.

    Raises:
        GraftError: there is no such tap.
    """
    taps = json.loads(metadata(model)["taps"])
    names = [tap["layer"] for tap in taps]
    if unknown := [layer for layer in layers if layer not in names]:
        message = (
            f"the head uses features of '{unknown[0]}', but the backbone has taps at {', '.join(names)} only. "
            "Run `dvc repro` on features and head again."
        )
        raise GraftError(message)
    selected = [tap for tap in taps if tap["layer"] in layers]
    if selected == taps:
        return model
    part = extract(model, model.graph.input[0].name, [tap["tensor"] for tap in selected])
    output_name = model.graph.output[0].name
    if len(selected) == 1:
        _rename(part, selected[0]["tensor"], output_name)
        selected = [selected[0] | {"tensor": output_name}]
    else:
        part = concatenate_outputs(part, output_name)
    part.ir_version = model.ir_version
    set_metadata(part, metadata(model) | {"taps": json.dumps(selected)})
    return part


def join(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that feeds the output of `first` to the input of `second`; both tensors have the same name.

    If they use different versions of ONNX's operators, the older one is converted to the newer version. The metadata
    are those of `first`.
    """
    output = first.graph.output[0]
    version = max(opset(first), opset(second))
    first, second = (raise_opset(model, version) for model in (first, second))
    if second.metadata_props:
        copy = onnx.ModelProto()
        copy.CopyFrom(second)
        copy.ClearField("metadata_props")
        second = copy
    model = compose.merge_models(first, second, io_map=[(output.name, second.graph.input[0].name)])
    model.graph.value_info.append(output)
    # merge_models lists the operator set of both graphs.
    del model.opset_import[1:]
    return model


def add_branch(model: onnx.ModelProto, branch: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the outputs of `branch` after its own; the input of `branch` is a tensor of the model.

    No other tensor may have the same name in both. If they use different versions of ONNX's operators, the older one is
    converted to the newer version. The metadata are those of `model`.
    """
    version = max(opset(model), opset(branch))
    first, second = (raise_opset(part, version) for part in (model, branch))
    joined = onnx.ModelProto()
    joined.CopyFrom(first)
    joined.graph.node.extend(second.graph.node)
    joined.graph.initializer.extend(second.graph.initializer)
    joined.graph.value_info.extend(second.graph.value_info)
    joined.graph.output.extend(second.graph.output)
    return joined


def raise_opset(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """Return the model with that version of ONNX's operators, and the file format of such models."""
    file_format = make_model(onnx.GraphProto(), version).ir_version
    if (opset(model), model.ir_version) == (version, file_format):
        return model
    converted = onnx.ModelProto()
    converted.CopyFrom(model if opset(model) == version else version_converter.convert_version(model, version))
    converted.ir_version = file_format
    return converted


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
    content = to_bytes(model)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def to_bytes(model: onnx.ModelProto) -> bytes:
    """Check the model and return its content; equal models have equal bytes.

    Raises:
        onnx.checker.ValidationError: the model is not valid ONNX.
    """
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _rename(model: onnx.ModelProto, name: str, new_name: str) -> None:
    """Give an output of the model another name."""
    for node in model.graph.node:
        node.input[:] = [new_name if value == name else value for value in node.input]
        node.output[:] = [new_name if value == name else value for value in node.output]
    for value in [*model.graph.output, *model.graph.value_info]:
        if value.name == name:
            value.name = new_name
