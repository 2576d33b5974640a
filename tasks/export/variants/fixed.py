"""`model.fixed.onnx`: from resized pixels, without the resize that many runtimes lack, in the oldest operators."""

from functools import partial

import numpy as np
import onnx
from onnx import TensorProto

from tasks.common.errors import GateError
from tasks.export.validation_sample import predict_resized
from tasks.export.variants.variant import Product, RefusedError, Sources, Variant, check_equal
from tasks.onnx import graphs
from tasks.onnx.lowering import LOWEST, lower_opset
from tasks.onnx.sessions import Array

RESIZED = (
    "RGB uint8 with EXIF orientation applied, made {size}x{size} with antialiasing as `input` says; normalising is in "
    "the graph"
)
RESIZED_FLOATS = RESIZED.replace("RGB uint8", "RGB float32 (0 to 255, whole numbers)")


def _make(name: str, sources: Sources, *, floats: bool) -> Product:
    """Return the part after the resize, with uint8 input or float32 input, in the oldest opset that gives its results.

    Raises:
        GateError: Not even the model's own opset does.
    """
    outputs = [output.name for output in sources.model.graph.output]
    part = graphs.extract(sources.model, "resized", outputs)
    if floats:
        _take_floats(part)
    text = (RESIZED_FLOATS if floats else RESIZED).format(size=sources.sample.resized.shape[1])
    graphs.set_metadata(part, sources.metadata.to_texts() | {"preprocessing": text})
    pixels = sources.sample.resized.astype(np.float32) if floats else sources.sample.resized
    reason = ""
    for lowest in range(LOWEST, graphs.opset(part) + 1):
        lowered = lower_opset(part, lowest)
        try:
            content, predicted = _predict(lowered, pixels)
            equality = check_equal(predicted, sources.sample, sources.params.tolerance)
        except RefusedError as error:
            reason = str(error)
        else:
            return Product(content, f"opset {graphs.opset(lowered)}; {equality}")
    message = f"{name} is not equal to model.onnx: {reason} (export.tolerance)."
    raise GateError(message)


def _take_floats(model: onnx.ModelProto) -> None:
    """Let the model take float32 pixels: casts of its input fall away, and other readers get a cast to uint8."""
    name = model.graph.input[0].name
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    removed = {}
    for node in list(model.graph.node):
        casts_to = node.attribute[0].i if node.op_type == "Cast" else None
        if list(node.input) == [name] and casts_to == TensorProto.FLOAT:
            removed[node.output[0]] = name
            model.graph.node.remove(node)
    readers = [node for node in model.graph.node if name in node.input]
    for node in readers:
        node.input[:] = [f"{name}/levels" if value == name else value for value in node.input]
    if readers:
        levels = onnx.helper.make_node("Cast", [name], [f"{name}/levels"], to=TensorProto.UINT8)
        model.graph.node.insert(0, levels)
    for node in model.graph.node:
        node.input[:] = [removed.get(value, value) for value in node.input]


def _predict(model: onnx.ModelProto, pixels: Array) -> tuple[bytes, dict[str, Array]]:
    """Return the content of the model and its outputs for pixels [N, S, S, 3].

    Raises:
        RefusedError: The model is not valid, or ONNX Runtime cannot run it.
    """
    try:
        return graphs.to_bytes(model), predict_resized(model, pixels)
    except Exception as error:  # onnx and ONNX Runtime raise a dozen types without a common base
        message = f"it cannot be run: {' '.join(str(error).split())}"
        raise RefusedError(message) from error


FIXED = Variant(
    "model.fixed.onnx",
    "for runtimes without an antialiased resize, such as OpenCV: takes uint8 pixels that are already resized",
    partial(_make, "model.fixed.onnx", floats=False),
)
FIXED_FLOAT = Variant(
    "model.fixed_float.onnx",
    "for runtimes without uint8 inputs: takes float32 pixels, 0 to 255, that are already resized",
    partial(_make, "model.fixed_float.onnx", floats=True),
)
