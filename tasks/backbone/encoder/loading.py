"""Loading of an ONNX file from elsewhere, with its external data, the weights that a large file keeps beside it.

A file that is damaged, hostile or incomplete ends in one line.
"""

from hashlib import sha256
from pathlib import Path, PurePosixPath

import onnx
from onnx import TensorProto, checker, inliner, numpy_helper

from tasks.backbone.encoder.faults import explained
from tasks.backbone.encoder.nested_graphs import all_graphs, all_nodes, all_tensors, all_texts, count_inlined
from tasks.common.errors import GraftError
from tasks.common.text import printable
from tasks.onnx import graphs

LARGEST = (1 << 31) - (1 << 24)
"""Bytes of weights that one ONNX file can hold: protobuf writes less than 2 GiB, and the nodes need some of it."""
LONGEST_NAME = 200
"""Characters of the path of external data; file systems take names of 255 bytes."""
STANDARD_DOMAINS = ("", "ai.onnx")
OLDEST_OPSET = 7
MOST_NODES = 1_000_000
"""Functions that call functions can stand for any number of nodes; large encoders have tens of thousands."""
# Their results differ from run to run, and features have to repeat.
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def load_encoder(path: Path, digest: str, name: str) -> onnx.ModelProto:
    """Return the model in a file with this SHA-256: complete, checked, without functions; `name` is for messages.

    Raises:
        GraftError: the file has another hash, is no valid ONNX, is too large, or uses what Graft refuses.
    """
    if path.stat().st_size > LARGEST:
        raise _too_large(name, path.stat().st_size)
    content = path.read_bytes()
    actual = sha256(content).hexdigest()
    if actual != digest:
        message = (
            f"backbone.sha256 is {digest}, but '{name}' has {actual}. Restore the file, or set backbone.sha256 to that "
            "if the change is wanted."
        )
        raise GraftError(message)
    return parse_encoder(content, path.parent, name)


def parse_encoder(content: bytes, folder: Path, name: str) -> onnx.ModelProto:
    """Return the model in the bytes of a file in that folder: complete, checked, without functions.

    Raises:
        GraftError: the bytes are no valid ONNX, the model is too large, or uses what Graft refuses.
    """
    with explained(name, "read as ONNX"):
        model = onnx.load_model_from_string(content)
    if not model.graph.node or not model.opset_import:
        message = f"{name} cannot be read as ONNX: it has no operators. Export it again."
        raise GraftError(message)
    if not all(isinstance(text, str) for text in all_texts(model)):
        message = f"{name} cannot be read as ONNX: it has names that are not UTF-8. Export it again."
        raise GraftError(message)
    if model.functions:
        with explained(name, "freed of its functions", "Export it without functions."):
            if count_inlined(model) > MOST_NODES:
                message = f"they stand for more than {MOST_NODES:,} operators"
                raise ValueError(message)
            model = inliner.inline_local_functions(model, convert_version=True)
    with explained(name, "used"):
        _check_operators(model, name)
        _load_external_data(model.graph, folder, name)
        _check_tensors(model.graph, name)
    with explained(name, "used, because it is not valid ONNX"):
        checker.check_model(model)
    _use_one_operator_set(model)
    # Files of before 2019 list weights among the inputs.
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def _check_operators(model: onnx.ModelProto, name: str) -> None:
    version, newest = graphs.opset(model), onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= version <= newest:
        message = (
            f"{name} uses opset {version}; expected {OLDEST_OPSET} to {newest}. Export it again with opset "
            f"{graphs.OPSET}."
        )
        raise GraftError(message)
    for node in all_nodes(model.graph):
        operator = printable(f"{node.domain}.{node.op_type}" if node.domain else node.op_type)
        if node.domain not in STANDARD_DOMAINS:
            message = (
                f"{name} uses the operator {operator}, which is not of the ONNX standard: other runtimes could not run "
                "the exported classifier. Export the encoder without optimizations for one runtime."
            )
            raise GraftError(message)
        if node.op_type in RANDOM:
            message = f"{name} uses the operator {operator}, which is random. Export the encoder in evaluation mode."
            raise GraftError(message)


def _check_tensors(graph: onnx.GraphProto, name: str) -> None:
    if any(part.sparse_initializer or part.quantization_annotation for part in all_graphs(graph)):
        message = f"{name} has sparse weights or notes on quantization; export it with dense weights of float32."
        raise GraftError(message)
    total = 0
    for tensor in all_tensors(graph):
        if tensor.data_type == TensorProto.STRING:
            message = f"{name} has a tensor of text, '{printable(tensor.name)}'; expected numbers alone."
            raise GraftError(message)
        with explained(
            name, f"used, because of its tensor '{printable(tensor.name)}' of shape {list(tensor.dims)[:8]}"
        ):
            if min(tensor.dims, default=0) < 0:
                message = "a length is negative"
                raise ValueError(message)
            total += numpy_helper.to_array(tensor).nbytes  # raises if the bytes are not those of the shape
        if total > LARGEST:
            raise _too_large(name, total)


def _use_one_operator_set(model: onnx.ModelProto) -> None:
    version = graphs.opset(model)
    for node in all_nodes(model.graph):
        node.domain = ""
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", version))


def _load_external_data(graph: onnx.GraphProto, folder: Path, name: str) -> None:
    """Read the external data of all tensors into the graph, in place.

    Raises:
        GraftError: a file lies outside the folder, is missing, a link or too short, or there are more than 2 GiB.
    """
    total = 0
    for tensor in all_tensors(graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            path, offset, length = _locate(tensor, folder.resolve(), name)
            total += length
            if total > LARGEST:
                raise _too_large(name, total)
            with path.open("rb") as file:
                file.seek(offset)
                tensor.raw_data = file.read(length)
            tensor.ClearField("data_location")
            del tensor.external_data[:]


def _locate(tensor: onnx.TensorProto, folder: Path, name: str) -> tuple[Path, int, int]:
    """Return the file of a tensor, and the range of bytes in it: offset and length."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    shown = f"'{printable(location[:LONGEST_NAME])}'"
    parts = PurePosixPath(location)
    is_inside = bool(parts.parts) and not parts.is_absolute() and ".." not in parts.parts
    if not is_inside or len(location) > LONGEST_NAME or not set(location).isdisjoint("\\:\0"):
        message = f"{name} has external data in {shown}; expected a file below its own folder. Export both there."
        raise GraftError(message)
    path = folder / parts
    if path.resolve() != path:
        message = f"{name} has external data in {shown}, which is a link; put the file itself there."
        raise GraftError(message)
    if not path.is_file():
        message = f"{name} has external data in {shown}, and there is no such file. Put it beside the encoder."
        raise GraftError(message)
    size = path.stat().st_size
    offset = _whole_number(entries.get("offset", "0"))
    length = _whole_number(entries["length"]) if "length" in entries else size - (offset or 0)
    if offset is None or length is None or not 0 <= length <= size - offset:
        message = (
            f"{name} has external data in {shown} at {printable(str(entries.get('offset', 0)))[:40]}, "
            f"{printable(str(entries.get('length', 'all')))[:40]} bytes; the file has {size:,}. Copy "
            "or export both again."
        )
        raise GraftError(message)
    return path, offset, length


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # noqa: PLR2004  digits of 2**63


def _too_large(name: str, size: int) -> GraftError:
    """Return the error for an encoder of so many bytes."""
    return GraftError(
        f"{name} has {size / 1e9:.1f} GB of weights or more; one ONNX file, such as the exported classifier, holds at "
        f"most {LARGEST / 1e9:.1f} GB. Export the encoder in float16, or take a smaller one."
    )
