"""Post-training quantization of a base to int8, for processors that multiply 8-bit numbers several times faster.

For extraction, the result depends on the graph alone and never on the user's images, so vectors stay the same when a
dataset grows. An exported file is calibrated on images of its own dataset.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file, cache_folder
from tasks.common.progress import say
from tasks.images.decoding import Pixels
from tasks.onnx import graphs
from tasks.onnx.canonical_form import canonical
from tasks.onnx.int8.fusion import fuse
from tasks.onnx.int8.qdq import insert_qdq

# Part of the cache key: raise it with every change in this package that changes quantized graphs.
VERSION = 1


def quantize(model: onnx.ModelProto, tensors: Sequence[str], images: Pixels | None = None) -> onnx.ModelProto:
    """Return the part of `model` from `resized` to `tensors` with int8 weights and uint8 values between its layers.

    Input and outputs are those of `model`: uint8 [N, S, S, 3], and float32 [N, D] for each tensor. QuantizeLinear and
    DequantizeLinear mark the 8-bit numbers, whose ranges are those of `images`, uint8 [n, S, S, 3] (None: of the fixed
    calibration images); with images, layers that compute in float32 have int8 weights too. The graph is in canonical
    form: equal models have equal bytes.
    """
    base = fuse(graphs.extract(model, "resized", tensors))
    insert_qdq(base, images)
    return canonical(base, "base", "resized", tensors)


def quantize_backbone(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the backbone graph with a quantized base, from the same `image` to the same taps.

    Raises:
        GraftError: no layer of the base can be quantized.
    """
    metadata = graphs.metadata(model)
    base = quantize_cached(model, [tap["tensor"] for tap in json.loads(metadata["taps"])])
    if not any(node.op_type == "QuantizeLinear" for node in base.graph.node):
        message = (
            "features.precision is int8, but the base has no layer that can be quantized: no convolution and no dense "
            "layer with float32 weights, or it runs image by image. Set it to float32 or bf16."
        )
        raise GraftError(message)
    backbone = graphs.join(graphs.extract(model, "image", "resized"), base)
    graphs.set_metadata(backbone, metadata)
    return backbone


def quantize_cached(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """Return the same as `quantize`, from the user's cache if possible; a damaged file there is replaced."""
    part = graphs.extract(model, "resized", tensors)
    packages = [f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "pillow", "scikit-learn")]
    key = json.dumps([VERSION, *packages]).encode() + part.SerializeToString(deterministic=True)
    path = cache_folder() / "int8" / f"{hashlib.sha256(key).hexdigest()}.onnx"
    quantized = _read(path)
    if quantized is None:
        say("features: the base is quantized to int8; this is done once")
        quantized = quantize(model, tensors)
        _write(quantized, path)
    return quantized


def _read(path: Path) -> onnx.ModelProto | None:
    """Return the model in a file of the cache, or None if there is no such file or its SHA-256 does not match."""
    try:
        model = onnx.load(path)
    except (OSError, DecodeError):
        return None
    expected = graphs.metadata(model).get("sha256")
    del model.metadata_props[:]
    return model if _sha256(model) == expected else None


def _write(model: onnx.ModelProto, path: Path) -> None:
    signed = onnx.ModelProto()
    signed.CopyFrom(model)
    helper.set_model_props(signed, {"sha256": _sha256(model)})
    # The cache is optional: with a full disk or a read-only folder, the base is quantized again next time.
    with suppress(OSError, GraftError), atomic_file(path) as temporary:
        temporary.write_bytes(signed.SerializeToString(deterministic=True))


def _sha256(model: onnx.ModelProto) -> str:
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
