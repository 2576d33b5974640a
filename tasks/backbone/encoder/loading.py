"""Loading of an ONNX file from elsewhere: what is damaged, hostile or not complete in itself ends in one line."""

from hashlib import sha256
from pathlib import Path

import onnx
from onnx import TensorProto, checker, inliner, numpy_helper

from tasks.backbone.encoder.external_data import LARGEST, load_external_data, too_large
from tasks.backbone.encoder.faults import explained
from tasks.backbone.encoder.traversal import all_graphs, all_nodes, all_tensors
from tasks.common.errors import GraftError
from tasks.common.text import printable
from tasks.onnx import graphs

STANDARD_DOMAINS = ("", "ai.onnx")
OLDEST_OPSET = 7
# Their results differ from run to run, and features have to repeat.
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def load_encoder(path: Path, digest: str, name: str) -> onnx.ModelProto:
    """Return the model in a file with this SHA-256: complete, checked, without functions; `name` is for messages.

    Raises:
        GraftError: the file has another hash, is no valid ONNX, is too large, or uses what Graft refuses.
    """
    if path.stat().st_size > LARGEST:
        raise too_large(name, path.stat().st_size)
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
    """Return the model in the bytes of a file in that folder; see `load_encoder`."""
    with explained(name, "read as ONNX"):
        model = onnx.load_model_from_string(content)
    if not model.graph.node or not model.opset_import:
        message = f"{name} cannot be read as ONNX: it has no operators."
        raise GraftError(message)
    if model.functions:
        with explained(name, "freed of its functions"):
            model = inliner.inline_local_functions(model, convert_version=True)
    with explained(name, "used"):
        _check_operators(model, name)
        load_external_data(model.graph, folder, name)
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
            raise too_large(name, total)


def _use_one_operator_set(model: onnx.ModelProto) -> None:
    version = graphs.opset(model)
    for node in all_nodes(model.graph):
        node.domain = ""
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", version))
