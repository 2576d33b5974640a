"""The resize at the front of every graph: from an image of any size to the square that the base takes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import onnx
from onnx import TensorProto, helper, numpy_helper

from tasks.common.params import Backbone
from tasks.onnx import graphs

Fit = Literal["stretch", "crop", "pad"]
Interpolation = Literal["bilinear", "bicubic"]

CHANNELS = 3
# Graphs count the crop share in millionths, so that lengths are computed in integers, equally in every runtime.
MILLION = 1_000_000
# The constant of a graph that holds its crop share; a graph without it uses the whole image.
CROP_SHARE = "resize/crop_share"


class Resize(NamedTuple):
    """The way from an image of any size to a square of `size` pixels.

    `fit` says how an image that is not square becomes one. `crop_share`, in (0, 1], is the share of the sides that is
    used, around the centre. `pad_colour` (red, green, blue; 0 to 255) fills the border of `pad`.
    """

    size: int
    fit: Fit = "stretch"
    crop_share: float = 1.0
    pad_colour: tuple[int, int, int] = (0, 0, 0)
    interpolation: Interpolation = "bilinear"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON, for `resize` in backbone.json."""
        return self._asdict() | {"pad_colour": list(self.pad_colour)}


def resize_from_json(fields: Mapping[str, Any]) -> Resize:
    """Return the resize that `Resize.to_json` has written."""
    return Resize(**{**fields, "pad_colour": tuple(fields["pad_colour"])})


def resize_of(params: Backbone, size: int) -> Resize:
    """Return the resize to `size` pixels that the section `backbone` of the params asks for."""
    red, green, blue = params.pad_colour
    return Resize(size, params.fit, params.crop_share, (red, green, blue), params.interpolation)


def resize_graph(resize: Resize) -> onnx.ModelProto:
    """Return the graph from `image`, uint8 [N, H, W, 3] of any size, to `resized`, uint8 [N, size, size, 3].

    The part in use lies in the centre: `crop_share` of both sides (`stretch`), of the largest square inside the image
    (`crop`) or of the smallest square around it (`pad`). It is cut out first, so pixels outside it have no influence.
    Then it is resized to the square; for `pad`, its longer side to `size` and the other one in proportion, inside a
    border in `pad_colour`. Lengths are rounded to whole pixels, a half up, and are at least 1. If a margin is
    odd, the bottom or the right has the pixel more.

    Both filters are antialiased, with half-pixel centres, like Pillow's BILINEAR and BICUBIC; docs/decoding.md has the
    differences. Every stage runs this graph, so training and serving do not differ.
    """
    builder = _Builder()
    count = builder.add("resize/count", "Shape", "image", start=0, end=1)
    if resize.fit == "pad":
        pixels, sides = _cut_part(builder, resize)
        size, channels = builder.constant("resize/size", [resize.size]), builder.constant("resize/channels", [CHANNELS])
        longest = _reduce(builder, "resize/longest", "ReduceMax", sides)
        inside = _scale(builder, "resize/inside", sides, size, longest)
        _interpolate(builder, pixels, [count, inside, channels], resize, "resize/interpolated")
        _add_border(builder, "resize/interpolated", inside, size, resize.pad_colour)
    else:
        whole = resize.fit == "stretch" and resize.crop_share == 1
        pixels = "image" if whole else _cut_part(builder, resize)[0]
        shape = builder.constant("resize/shape", [resize.size, resize.size, CHANNELS])
        _interpolate(builder, pixels, [count, shape], resize, "resized")
    graph = helper.make_graph(
        builder.nodes,
        "resize",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", CHANNELS])],
        [helper.make_tensor_value_info("resized", TensorProto.UINT8, ["N", resize.size, resize.size, CHANNELS])],
        builder.constants,
    )
    return graphs.make_model(graph)


def read_crop_share(model: onnx.ModelProto) -> float:
    """Return the crop share of a model that begins with a resize graph."""
    shares = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == CROP_SHARE]
    return int(shares[0][0]) / MILLION if shares else 1.0


class _Builder:
    """The nodes and the constants of a graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, output: str, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: Sequence[int]) -> str:
        """Add an int64 vector, unless it is there, and return its name."""
        if all(tensor.name != name for tensor in self.constants):
            self.constants.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name


def _cut_part(builder: _Builder, resize: Resize) -> tuple[str, str]:
    """Add the nodes that cut out the part in use; return the names of its pixels and of its height and width."""
    sides = builder.add("resize/sides", "Shape", "image", start=1, end=3)
    if resize.crop_share == 1 and resize.fit == "pad":
        return "image", sides
    square = {"stretch": sides, "crop": "resize/shorter", "pad": "resize/longer"}[resize.fit]
    if resize.fit != "stretch":
        _reduce(builder, square, "ReduceMin" if resize.fit == "crop" else "ReduceMax", sides)
    share = builder.constant(CROP_SHARE, [max(1, round(resize.crop_share * MILLION))])
    part = _scale(builder, "resize/part_sides", square, share, builder.constant("resize/million", [MILLION]))
    if resize.fit == "pad":
        part = builder.add("resize/part_inside", "Min", part, sides)
    start = _halve(builder, "resize/start", builder.add("resize/outside", "Sub", sides, part))
    end = builder.add("resize/end", "Add", start, part)
    return builder.add("resize/part", "Slice", "image", start, end, builder.constant("resize/axes", [1, 2])), part


def _interpolate(builder: _Builder, pixels: str, shape: Sequence[str], resize: Resize, output: str) -> None:
    """Add the nodes that resize `pixels`, uint8 [N, h, w, 3], to the shape that is in vectors, one after the other."""
    attributes: dict[str, Any] = {"antialias": 1, "coordinate_transformation_mode": "half_pixel"}
    if resize.interpolation == "bicubic":
        attributes |= {"mode": "cubic", "cubic_coeff_a": -0.5}
    else:
        attributes["mode"] = "linear"
    # Without `exclude_outside`, ONNX Runtime repeats the outermost pixels where the filter reaches beyond them; Pillow
    # does not. The plain resize does without, because it always did: the keys of stored vectors depend on it.
    if resize != Resize(resize.size, pad_colour=resize.pad_colour):
        attributes["exclude_outside"] = 1
    sizes = builder.add("resize/sizes", "Concat", *shape, axis=0)
    builder.add(output, "Resize", pixels, "", "", sizes, **attributes)


def _add_border(builder: _Builder, pixels: str, sides: str, size: str, colour: Sequence[int]) -> None:
    """Add the nodes that put `pixels` with these sides, int64 [2], into the centre of a square of one colour."""
    margins = builder.add("resize/margins", "Sub", size, sides)
    before = _halve(builder, "resize/before", margins)
    after = builder.add("resize/after", "Sub", margins, before)
    border = builder.add("resize/border", "Concat", before, after, axis=0)
    axes = builder.constant("resize/axes", [1, 2])
    # Pad fills with one value, so each channel is padded by itself.
    channels = [f"resize/{name}" for name in ("red", "green", "blue")]
    builder.nodes.append(helper.make_node("Split", [pixels], channels, axis=3, num_outputs=CHANNELS))
    padded = []
    for channel, value in zip(channels, colour, strict=True):
        builder.constants.append(helper.make_tensor(f"{channel}/value", TensorProto.UINT8, [], [value]))
        padded.append(builder.add(f"{channel}/padded", "Pad", channel, border, f"{channel}/value", axes))
    builder.add("resized", "Concat", *padded, axis=3)


def _scale(builder: _Builder, output: str, lengths: str, numerator: str, denominator: str) -> str:
    """Add the nodes for max(1, lengths * numerator / denominator), a half rounded up; return the name of the result."""
    factor = builder.constant("resize/two", [2])
    product = builder.add(f"{output}/product", "Mul", lengths, numerator)
    doubled = builder.add(f"{output}/doubled", "Mul", product, factor)
    dividend = builder.add(f"{output}/dividend", "Add", doubled, denominator)
    divisor = builder.add(f"{output}/divisor", "Mul", denominator, factor)
    return _at_least_one(builder, output, builder.add(f"{output}/rounded", "Div", dividend, divisor))


def _reduce(builder: _Builder, output: str, operator: str, sides: str) -> str:
    """Add the nodes for the shorter or the longer side, int64 [1]; at least 1, since 0 cannot be a divisor."""
    return _at_least_one(builder, output, builder.add(f"{output}/reduced", operator, sides, keepdims=1))


def _at_least_one(builder: _Builder, output: str, lengths: str) -> str:
    return builder.add(output, "Max", lengths, builder.constant("resize/one", [1]))


def _halve(builder: _Builder, output: str, lengths: str) -> str:
    return builder.add(output, "Div", lengths, builder.constant("resize/two", [2]))
