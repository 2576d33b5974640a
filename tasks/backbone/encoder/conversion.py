"""Conversion of an encoder's file to a base, the graph from `resized` to `features`, and the proof that they agree."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from tasks.backbone.encoder import pooling
from tasks.backbone.encoder.batch import INPUT, OUTPUT, Form, batch_forms
from tasks.backbone.encoder.faults import explained
from tasks.backbone.encoder.loading import load_encoder
from tasks.backbone.encoder.nested_graphs import all_tensors
from tasks.backbone.encoder.normalisation import Array, check_type, normalisation, normalise
from tasks.backbone.encoder.preprocessing import Preprocessing
from tasks.backbone.encoder.signature import CHANNELS, Signature, choose_size, read_signature
from tasks.common.errors import GateError, GraftError
from tasks.common.params import Backbone
from tasks.common.text import printable
from tasks.images.decoding import Pixels
from tasks.onnx import graphs
from tasks.onnx.canonical_form import canonical
from tasks.onnx.sessions import Session

IMAGES = 3
WIDEST = 1_000_000
"""Features of one image; flattened tokens of a large transformer are half as many."""
HALF_TOLERANCE = 2e-3
"""Float16 has 11 bits; where a graph rounds to it, another order of operations shows in the last of them."""


class Request(NamedTuple):
    """An encoder's file, its preprocessing, and the section `backbone` of the params."""

    path: Path
    preprocessing: Preprocessing
    params: Backbone

    @property
    def name(self) -> str:
        """The file as the params name it, for messages."""
        return printable(self.params.name)


class Base(NamedTuple):
    """A base, serialized: uint8 `resized` [N, size, size, 3] to float32 `features` [N, width].

    `output` is the name of the encoder's output, `form` that of its batch (batch.py), `parameters` their number.
    """

    model: bytes
    size: int
    width: int
    output: str
    form: str
    parameters: int


def convert_encoder(request: Request) -> Base:
    """Return the base of an encoder's file.

    Raises:
        GraftError: the file, or what it computes, cannot be used.
        GateError: the graph differs from the encoder by more than `backbone.tolerance`.
    """
    digest = request.params.sha256 or ""
    return convert_model(load_encoder(request.path, digest, request.name), request)


def convert_model(model: onnx.ModelProto, request: Request) -> Base:
    """Return the base of an encoder that is loaded and checked; its graph is changed in place."""
    name, params = request.name, request.params
    signature = read_signature(model, params.preprocessing, name)
    size = choose_size(signature, params.input_size, request.preprocessing.size, name)
    check_type(request.preprocessing, signature.type, name)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, CHANNELS), dtype=np.uint8)
    _set_input(model, signature, size)
    outputs = _run_encoder(model, signature, images, request)
    with np.errstate(all="ignore"):  # reported below
        expected = pooling.pool(outputs, params.pooling, signature.layout)
    if not np.isfinite(expected).all():
        message = (
            f"{name} gives values that are not finite; its weights, or the preprocessing, are not as it needs them."
        )
        raise GraftError(message)
    if expected.shape[1] > WIDEST:
        message = (
            f"{name} gives {expected.shape[1]:,} features an image; expected at most {WIDEST:,}. Set backbone.pooling "
            "to avg, or backbone.preprocessing.output to another output."
        )
        raise GraftError(message)
    _set_output(model, signature, outputs)
    model = _raise_opset(model, name)
    base, form = _choose_form(model, signature, images, expected, request)
    weights = (numpy_helper.to_array(tensor) for tensor in model.graph.initializer)
    parameters = sum(values.size for values in weights if np.issubdtype(values.dtype, np.floating))
    return Base(base.SerializeToString(deterministic=True), size, expected.shape[1], signature.output, form, parameters)


def _set_input(model: onnx.ModelProto, signature: Signature, size: int) -> None:
    sides = [CHANNELS, size, size] if signature.layout == "NCHW" else [size, size, CHANNELS]
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info(signature.input, signature.type, [1, *sides]))


def _set_output(model: onnx.ModelProto, signature: Signature, outputs: Array) -> None:
    element_type = helper.np_dtype_to_tensor_dtype(outputs.dtype)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(signature.output, element_type, [1, *outputs.shape[1:]]))


def _run_encoder(model: onnx.ModelProto, signature: Signature, images: Pixels, request: Request) -> Array:
    """Return the output of the encoder as its file has it, image by image, on pixels normalised by numpy."""
    name, preprocessing = request.name, request.preprocessing
    values = normalise(images, preprocessing, signature.layout, signature.type)
    side = images.shape[1]
    advice = "Is backbone.input_size right? If it is, export the encoder again."
    with explained(name, f"run by ONNX Runtime on an image of {side}x{side} pixels", advice):
        session = Session(model, threads=1)
        outputs = [session(values[index : index + 1]) for index in range(len(values))]
    for output in outputs:
        pooling.check_output(output.shape, request.params.pooling, name)
    if not np.issubdtype(outputs[0].dtype, np.floating):
        message = (
            f"the output '{printable(signature.output)}' of {name} has the type {outputs[0].dtype}; expected "
            "float32 or float16. Set backbone.preprocessing.output to another output."
        )
        raise GraftError(message)
    with explained(name, "used, because the shape of its output changes from image to image"):
        return np.concatenate(outputs)


def _raise_opset(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return the model with the operators of opset 18, or of its own if that is newer."""
    version = graphs.opset(model)
    if version >= graphs.OPSET:
        return model
    advice = f"Export it with opset {graphs.OPSET}."
    with explained(name, f"converted from opset {version} to {graphs.OPSET}", advice):
        return version_converter.convert_version(model, graphs.OPSET)


def _choose_form(
    model: onnx.ModelProto, signature: Signature, images: Pixels, expected: Array, request: Request
) -> tuple[onnx.ModelProto, str]:
    """Return the base in the first form that equals the encoder, one image at a time and in a batch; and its name."""
    is_half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in all_tensors(model.graph))
    tolerance = max(request.params.tolerance, HALF_TOLERANCE if is_half else 0.0)
    for form in batch_forms(model, is_open=signature.batch is None):
        try:
            with explained(request.name, "joined with its preprocessing"):
                base = _attach(form, signature, _axis_count(model), request, expected.shape[1])
                onnx.checker.check_model(base, full_check=True)
                error = _difference(Session(base, threads=1), images, expected)
        except GraftError as form_failure:
            failure = form_failure
            continue
        if error <= tolerance:
            return base, form.name
        message = (
            f"the ONNX graph made of {request.name} differs from it by {error:.1e} of the largest value; expected at "
            f"most {tolerance:.1e} (backbone.tolerance)."
        )
        failure = GateError(message)
    # The last form runs the encoder image by image, so its failure is that of the encoder.
    raise failure


def _axis_count(model: onnx.ModelProto) -> int:
    """Return the number of axes of the model's output."""
    return len(model.graph.output[0].type.tensor_type.shape.dim)


def _difference(run: Session, images: Pixels, expected: Array) -> float:
    """Return the largest difference, relative to the largest value; NaN if there is one in the results."""
    batches = [run(images), np.concatenate([run(images[index : index + 1]) for index in range(len(images))])]
    if any(batch.shape != expected.shape for batch in batches):
        return float("inf")
    largest = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.max([np.abs(batch - expected).max() for batch in batches])) / largest


def _attach(form: Form, signature: Signature, axis_count: int, request: Request, width: int) -> onnx.ModelProto:
    """Return the base: normalisation, the encoder in that form, and pooling, in canonical form."""
    front, front_constants = normalisation(request.preprocessing, signature.layout, signature.type, INPUT)
    end, end_constants = pooling.pooling_nodes(OUTPUT, axis_count, request.params.pooling, signature.layout)
    shape = [dimension.dim_value for dimension in form.model.graph.input[0].type.tensor_type.shape.dim]
    size = shape[2]
    graph = helper.make_graph(
        [*front, *form.model.graph.node, *end],
        "base",
        [helper.make_tensor_value_info("resized", TensorProto.UINT8, ["N", size, size, CHANNELS])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])],
        [*front_constants, *form.model.graph.initializer, *end_constants],
    )
    return canonical(graphs.make_model(graph, graphs.opset(form.model)), "base", "resized", ["features"])
