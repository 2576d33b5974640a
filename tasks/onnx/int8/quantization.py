"""From a base in float32 to the same base in int8, for processors that multiply 8-bit numbers several times faster.

Weights and what they are multiplied by become 8-bit numbers; the rest stays float32. No image of the user's has a say.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from tasks.common.files import atomic_file, cache_folder
from tasks.common.progress import say
from tasks.onnx import graphs
from tasks.onnx.int8.calibration import calibrate
from tasks.onnx.int8.fusion import attribute, fuse, is_convolution, pads_zeros, set_attribute
from tasks.onnx.sessions import Array

# Raised by whoever changes what comes of a graph: folding, pictures and calibration have their part in it.
VERSION = 1
# Processors without VNNI add two products in 16 bits, which overflow without a word: 2 * 255 * 64 is what fits.
WEIGHT_LEVELS = 64
# What reads 8-bit numbers, where there are some. All others (the pooling of a tap, activations) read float32.
READERS = {"Add", "AveragePool", "Concat", "Conv", "MatMul", "MaxPool", "Pad", "Transpose"}


def quantize(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """Return the part of `model` from `resized` to `tensors` with int8 weights and uint8 values between its layers.

    From uint8 [N, S, S, 3] to float32 [N, D] for each tensor, as `model` itself. QuantizeLinear and DequantizeLinear
    tell which numbers are 8-bit. In canonical form: equal models become equal bytes.
    """
    base = fuse(graphs.extract(model, "resized", tensors))
    rounding = _Rounding(base)
    for node in base.graph.node:
        rounding.add(node)
    base.graph.initializer.extend(rounding.initializers)
    del base.graph.node[:]
    base.graph.node.extend(rounding.nodes)
    return graphs.canonical(base, "base", "resized", tensors)


def quantize_backbone(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the backbone graph with 8-bit numbers in its base, from the same images to the same taps."""
    facts = graphs.metadata(model)
    made = quantize_cached(model, [row["tensor"] for row in json.loads(facts["taps"])])
    made = graphs.join(graphs.extract(model, "image", "resized"), made)
    graphs.set_metadata(made, facts)
    return made


def quantize_cached(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """Return what `quantized` does, from the user's cache if it was made before; a damaged file is made again."""
    part = graphs.extract(model, "resized", tensors)
    makers = [f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "pillow", "scikit-learn")]
    identity = json.dumps([VERSION, *makers]).encode() + part.SerializeToString(deterministic=True)
    path = cache_folder() / "int8" / f"{hashlib.sha256(identity).hexdigest()}.onnx"
    found = _read(path)
    if found is None:
        say("features: the base is quantized to int8; this is done once")
        found = quantize(model, tensors)
        _write(found, path)
    return found


def _read(path: Path) -> onnx.ModelProto | None:
    """Return the model in a file of the cache; None where there is none, or not what was written."""
    try:
        found = onnx.load(path)
    except (OSError, DecodeError):
        return None
    told = graphs.metadata(found).get("sha256")
    del found.metadata_props[:]
    return found if told == _digest(found) else None


def _write(model: onnx.ModelProto, path: Path) -> None:
    sealed = onnx.ModelProto()
    sealed.CopyFrom(model)
    helper.set_model_props(sealed, {"sha256": _digest(model)})
    # Without a place for it (a full disk, a folder that is read-only), it is made again the next time.
    with suppress(OSError), atomic_file(path) as temporary:
        temporary.write_bytes(sealed.SerializeToString(deterministic=True))


def _digest(model: onnx.ModelProto) -> str:
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


class _Rounding:
    """A graph that is built anew, node by node, with 8-bit numbers in it."""

    def __init__(self, base: onnx.ModelProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in base.graph.initializer}
        self._makers = {name: node for node in base.graph.node for name in node.output}
        inputs = [node.input[0] for node in base.graph.node if self._multiplies(node)]
        known = calibrate(base, sorted({*inputs, *map(self._source, inputs)}))
        # Maps of one pixel (squeeze and excitation) cost nothing, and their errors are multiplied into whole maps.
        self._inputs = {name: known[name] for name in inputs if not known[name].flat}
        self._sources = {name: known[name] for name in map(self._source, self._inputs)}
        self._rounded: dict[str, str] = {}

    def add(self, node: onnx.NodeProto) -> None:
        """Add a node, and what rounds the values that it reads or makes."""
        multiplies = self._multiplies(node) and node.input[0] in self._inputs
        if multiplies:
            self._round_weights(node)
        if node.op_type in READERS:
            node.input[:] = [self._rounded.get(name, name) for name in node.input]
        if multiplies and node.op_type == "Conv":
            self._part_from_stride(node)
        self.nodes.append(node)
        for name in node.output:
            if name in self._sources:
                self._round(name)

    def _multiplies(self, node: onnx.NodeProto) -> bool:
        """Tell whether the node multiplies what it reads by constant weights."""
        weights = self._constants.get(node.input[1]) if len(node.input) > 1 else None
        vectors = node.op_type == "MatMul" and weights is not None and weights.ndim == 2  # noqa: PLR2004
        return vectors or is_convolution(node, self._constants)

    def _source(self, name: str) -> str:
        """Return the tensor that these values come from: what hands values on does so with 8-bit numbers."""
        while (maker := self._makers.get(name)) is not None:
            if maker.op_type not in {"MaxPool", "Transpose"} and not pads_zeros(maker, self._constants):
                break
            name = maker.input[0]
        return name

    def _round(self, name: str) -> None:
        grid = [
            self._constant(f"{name}/scale", self._sources[name].scale),
            self._constant(f"{name}/zero", self._sources[name].zero),
        ]
        self._node("QuantizeLinear", [name, *grid], f"{name}/levels")
        self._rounded[name] = self._node("DequantizeLinear", [f"{name}/levels", *grid], f"{name}/rounded")

    def _round_weights(self, node: onnx.NodeProto) -> None:
        weights, axis = self._constants[node.input[1]], 0 if node.op_type == "Conv" else 1
        largest = np.abs(weights).max(tuple(set(range(weights.ndim)) - {axis}), keepdims=True)
        scale = np.where(largest > 0, largest, 1) / np.float32(WEIGHT_LEVELS)
        levels = np.rint(weights / scale).astype(np.int8)
        if node.op_type == "Conv":
            self._correct_bias(node, levels * scale - weights)
        name = f"{node.output[0]}/weights"
        parts = [self._constant(f"{name}/levels", levels), self._constant(f"{name}/scale", scale.ravel())]
        node.input[1] = self._node("DequantizeLinear", parts, name, axis=axis)

    def _correct_bias(self, node: onnx.NodeProto, errors: Array) -> None:
        """Take from the bias what the errors of the weights, [O, I, H, W], add to the mean of each channel.

        Of depthwise convolutions, whose few weights are rounded alike, this is the greater part of the error.
        """
        groups = int(attribute(node, "group", 1))
        means = self._inputs[node.input[0]].means.reshape(groups, 1, -1)
        sums = errors.sum(axis=(2, 3), dtype=np.float64).reshape(groups, -1, means.shape[-1])
        bias = self._constants[node.input[2]] if node.input[2:] else np.zeros(len(errors))
        corrected = bias - (sums * means).sum(axis=2).ravel()
        node.input[2:] = [self._constant(f"{node.output[0]}/bias", corrected.astype(np.float32))]

    def _part_from_stride(self, node: onnx.NodeProto) -> None:
        """Let a pooling over one pixel skip pixels for a convolution over one pixel.

        OpenVINO does the same by itself, but between the two halves of DequantizeLinear, and then computes in float32.
        """
        strides = attribute(node, "strides", [1, 1])
        if attribute(node, "kernel_shape", []) != [1, 1] or strides == [1, 1]:
            return
        skipped = f"{node.output[0]}/skipped"
        node.input[0] = self._node("MaxPool", [node.input[0]], skipped, kernel_shape=[1, 1], strides=strides)
        set_attribute(node, "strides", [1, 1])

    def _constant(self, name: str, value: object) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output
