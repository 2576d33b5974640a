"""The signature of an encoder: which input takes the images, in which order and size, and which output is used."""

from typing import Literal, NamedTuple

import onnx
from onnx import TensorProto

from tasks.backbone.encoder.nested_graphs import names_read, prune
from tasks.common.errors import GraftError
from tasks.common.params import EncoderPreprocessing
from tasks.common.text import join, printable

Layout = Literal["NCHW", "NHWC"]

CHANNELS = 3
IMAGE_AXES = 4
PIXEL_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8)
LARGEST_SIDE = 4096


class Signature(NamedTuple):
    """The input for images and the output of an encoder.

    `type` is the ONNX type of the input. `size` are the pixels of a side and `batch` is the number of images, None
    where the graph leaves them open.
    """

    input: str
    output: str
    type: int
    layout: Layout
    size: int | None
    batch: int | None


def read_signature(model: onnx.ModelProto, section: EncoderPreprocessing | None, name: str) -> Signature:
    """Return the signature, and keep, in place, only that input, that output and what lies between.

    Raises:
        GraftError: the input is not clear or takes no square images of three channels, or the output needs others.
    """
    graph = model.graph
    asked_input, asked_output = (section.input, section.output) if section else (None, None)
    value = _choose(list(graph.input), asked_input, "input", name)
    output = _choose(list(graph.output)[: None if asked_output else 1], asked_output, "output", name).name
    prune(graph, output)
    _keep_input(graph, value.name, output, name)
    tensor = value.type.tensor_type
    shown = f"the input '{printable(value.name)}' of {name}"
    if tensor.elem_type not in PIXEL_TYPES:
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        message = f"{shown} has the type {kind}; expected float32, float16 or uint8. Export it with one of them."
        raise GraftError(message)
    sizes = [_length(dimension) for dimension in tensor.shape.dim]
    if tensor.HasField("shape") and len(sizes) != IMAGE_AXES:
        message = f"{shown} has {len(sizes)} dimensions; expected 4, [N, 3, H, W] or [N, H, W, 3]."
        raise GraftError(message)
    layout = _find_layout(value, section, shown)
    batch, *rest = sizes or [None] * IMAGE_AXES
    channels, height, width = rest if layout == "NCHW" else (rest[2], rest[0], rest[1])
    if channels not in {None, CHANNELS}:
        message = f"{shown} takes {channels} channels in the layout {layout}; expected {CHANNELS}: red, green and blue."
        raise GraftError(message)
    if None not in {height, width} and height != width:
        message = f"{shown} takes images of {height}x{width} pixels; expected squares."
        raise GraftError(message)
    if batch not in {None, 1}:
        message = f"{shown} takes batches of {batch} images; export the encoder with a dynamic batch, or a batch of 1."
        raise GraftError(message)
    return Signature(value.name, output, tensor.elem_type, layout, height or width, batch)


def choose_size(signature: Signature, asked: int | None, published: int | None, name: str) -> int:
    """Return the input size in pixels: `backbone.input_size`, or the published size, or that of the graph.

    Raises:
        GraftError: none of them is known, or the graph has another size.
    """
    size = asked or published or signature.size
    if size is None:
        message = f"{name} takes images of any size, and none is stated; set backbone.input_size."
        raise GraftError(message)
    if signature.size not in {None, size}:
        origin = "backbone.input_size" if asked else "the file of its preprocessing"
        message = (
            f"{name} takes images of {signature.size} pixels, but {origin} says {size}. Set backbone.input_size to "
            f"{signature.size}."
        )
        raise GraftError(message)
    if size > LARGEST_SIDE:
        message = f"{name} takes images of {size:,} pixels; expected at most {LARGEST_SIDE:,}."
        raise GraftError(message)
    return size


def _choose(values: list[onnx.ValueInfoProto], asked: str | None, kind: str, name: str) -> onnx.ValueInfoProto:
    names = [printable(value.name) for value in values]
    if asked is None:
        if len(values) == 1:
            return values[0]
        if not values:
            message = f"{name} has no {kind}; export it again."
            raise GraftError(message)
        message = (
            f"{name} has {len(values)} {kind}s: {join(names[:8])}. Set backbone.preprocessing.{kind} to that of the "
            "images."
        )
        raise GraftError(message)
    for value in values:
        if value.name == asked:
            return value
    message = f"backbone.preprocessing.{kind} is '{printable(asked)}', but {name} has {join(names[:8]) or 'none'}."
    raise GraftError(message)


def _keep_input(graph: onnx.GraphProto, images: str, output: str, name: str) -> None:
    """Remove the inputs that nothing reads any more."""
    read = {text for node in graph.node for text in names_read(node)}
    others = [printable(value.name) for value in graph.input if value.name in read and value.name != images]
    if others:
        message = (
            f"the output '{printable(output)}' of {name} needs {join(others[:8])} besides '{printable(images)}'; an "
            "encoder takes images alone. Export the vision tower by itself, or set backbone.preprocessing.output."
        )
        raise GraftError(message)
    if images not in read:
        message = f"the output '{printable(output)}' of {name} does not depend on its input '{printable(images)}'."
        raise GraftError(message)
    kept = [value for value in graph.input if value.name == images]
    del graph.input[:]
    graph.input.extend(kept)


def _find_layout(value: onnx.ValueInfoProto, section: EncoderPreprocessing | None, shown: str) -> Layout:
    if section is not None and section.layout is not None:
        return section.layout
    dimensions = list(value.type.tensor_type.shape.dim)
    is_channels = [_length(dimension) == CHANNELS or "channel" in dimension.dim_param for dimension in dimensions]
    first, last = (is_channels[1], is_channels[3]) if dimensions else (False, False)
    if first == last:
        message = f"{shown} does not tell whether channels come first or last; set backbone.preprocessing.layout."
        raise GraftError(message)
    return "NCHW" if first else "NHWC"


def _length(dimension: onnx.TensorShapeProto.Dimension) -> int | None:
    """Return the length of a dimension; None if it is open. Some exporters write open ones as 0 or -1."""
    return dimension.dim_value if dimension.dim_value > 0 else None
