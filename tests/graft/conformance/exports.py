"""An exported folder, made in milliseconds: a model of colours, its variants and its classes.

The model names the strongest colour in the lower half of a picture, and the pictures have another one above, so that
only a runtime that resizes both sides is right.
"""

from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import helper, numpy_helper
from PIL import Image

from tasks.export.class_files import write_class_files
from tasks.onnx import graphs
from tasks.onnx.lowering import lower_opset
from tests.graft.models import CLASSES, METADATA, SIZE, colour_model

HALF = SIZE // 2
COLOURS = {"red": (200, 30, 40), "green": (20, 180, 90), "blue": (10, 60, 210), "grey": (120, 100, 110)}
ANSWERS = ["red", "green", "blue", "red"]


def write_export(folder: Path, *, litert: bool = True) -> Path:
    """Write the model, its variants and its class names into the folder, and return it."""
    folder.mkdir()
    model = colour_model()
    _look_at_lower_half(model)
    graphs.save(model, folder / "model.onnx")
    fixed = graphs.extract(model, "resized", [output.name for output in model.graph.output])
    graphs.set_metadata(fixed, METADATA.to_texts())
    graphs.save(lower_opset(fixed), folder / "model.fixed.onnx")
    if litert:
        (folder / "model.tflite").write_bytes(litert_colour_model())
    write_class_files(folder, CLASSES)
    return folder


def write_pictures(folder: Path, suffix: str = "png") -> list[Path]:
    """Write a noisy picture of each colour, in different sizes, and return their paths.

    The upper third has the colour of another one.
    """
    folder.mkdir()
    random = np.random.default_rng(0)
    colours = list(COLOURS.values())
    paths = []
    for number, name in enumerate(COLOURS):
        height, width = random.integers(100, 140, 2)
        rows = np.where(np.arange(height)[:, None] < height / 3, colours[number - 1], colours[number])
        pixels = rows[:, None] + random.integers(-10, 11, (height, width, 3))
        paths.append(folder / f"{name}.{suffix}")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths


def litert_colour_model() -> bytes:
    """Return the same model as a LiteRT file, without `known`."""
    model = schema.ModelT()
    model.version = 3
    constants = [
        np.array([1, 2], np.int32),
        10 / 255 * np.eye(3, dtype=np.float32),
        np.array([0, HALF, 0, 0], np.int32),
        np.array([1, HALF, SIZE, 3], np.int32),
    ]
    # The first buffer is empty by convention.
    model.buffers = [_buffer(None), *map(_buffer, constants)]
    kinds = schema.TensorType
    tensors = [
        _tensor("resized", [1, SIZE, SIZE, 3], kinds.UINT8),
        _tensor("floats", [1, SIZE, SIZE, 3], kinds.FLOAT32),
        _tensor("axes", [2], kinds.INT32, 1),
        _tensor("means", [1, 3], kinds.FLOAT32),
        _tensor("weights", [3, 3], kinds.FLOAT32, 2),
        _tensor("logits", [1, 3], kinds.FLOAT32),
        _tensor("probabilities", [1, 3], kinds.FLOAT32),
        _tensor("start", [4], kinds.INT32, 3),
        _tensor("size", [4], kinds.INT32, 4),
        _tensor("half", [1, HALF, SIZE, 3], kinds.FLOAT32),
    ]
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    options = schema.BuiltinOptions
    operators = [
        _operator(model, "CAST", [0], [1]),
        _operator(model, "SLICE", [1, 7, 8], [9], options.SliceOptions, schema.SliceOptionsT()),
        _operator(model, "MEAN", [9, 2], [3], options.ReducerOptions, schema.ReducerOptionsT()),
        _operator(
            model, "FULLY_CONNECTED", [3, 4], [5], options.FullyConnectedOptions, schema.FullyConnectedOptionsT()
        ),
        _operator(model, "SOFTMAX", [5], [6], options.SoftmaxOptions, softmax),
    ]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, [0], [6]
    model.subgraphs = [graph]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = [_tensor_map("resized", 0)], [_tensor_map("probabilities", 6)]
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _look_at_lower_half(model: onnx.ModelProto) -> None:
    nodes = model.graph.node
    [position] = [index for index, node in enumerate(nodes) if node.op_type == "GlobalAveragePool"]
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array([value]), name)
        for name, value in (("first", HALF), ("last", SIZE), ("row", 2))
    )
    nodes.insert(position, helper.make_node("Slice", [nodes[position].input[0], "first", "last", "row"], ["half"]))
    nodes[position + 1].input[0] = "half"


def _buffer(values: Any) -> Any:
    buffer = schema.BufferT()
    buffer.data = None if values is None else list(values.tobytes())
    return buffer


def _tensor(name: str, shape: list[int], kind: int, buffer: int = 0) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, buffer
    return tensor


def _operator(
    model: Any, name: str, inputs: list[int], outputs: list[int], options_type: int = 0, options: Any = None
) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
    model.operatorCodes = [*(model.operatorCodes or []), code]
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = inputs, outputs
    operator.builtinOptionsType, operator.builtinOptions = options_type, options
    return operator


def _tensor_map(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
