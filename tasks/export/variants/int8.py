"""`model.int8.onnx`: a quarter of the bytes; its base computes in 8 bits, calibrated on training images."""

import numpy as np
import onnx

from tasks.common.text import count
from tasks.export import validation_sample
from tasks.export.variants.bases import with_base
from tasks.export.variants.variant import Product, RefusedError, Sources, Variant
from tasks.onnx import graphs
from tasks.onnx.int8.quantization import quantize

CALIBRATION_IMAGES = 128


def _make(sources: Sources) -> Product:
    training = [row.path for row in sources.rows if row.split == "train"]
    # Evenly spaced, since the table is in the order of the folders, which are the classes.
    positions = np.linspace(0, len(training) - 1, min(CALIBRATION_IMAGES, len(training))).round().astype(int)
    paths = [training[position] for position in positions]
    [resized] = validation_sample.run(sources.model, sources.images, paths, ["resized"])
    base = quantize(sources.model, ["features"], resized)
    if not any(node.op_type == "QuantizeLinear" for node in base.graph.node):
        message = "the base has no layer that can be quantized: no convolution and no dense layer with float32 weights"
        raise RefusedError(message)
    model = with_base(sources.model, base)
    return Product(graphs.to_bytes(model), f"opset {graphs.opset(model)}; {_check_accuracy(model, sources)}")


def _check_accuracy(model: onnx.ModelProto, sources: Sources) -> str:
    """Return in words how accurate the model is on all validation images, beside `model.onnx`.

    Raises:
        RefusedError: It is less accurate by more than `export.max_accuracy_loss`.
    """
    paths, expected, classes = sources.expected
    labels = {row.path: row.label for row in sources.rows}
    actual = np.array([classes.index(labels[path]) for path in paths])
    names = list(sources.sample.outputs)
    outputs = dict(zip(names, validation_sample.run(model, sources.images, paths, names), strict=True))
    before, after = (int((values.argmax(axis=1) == actual).sum()) for values in (expected, outputs["probabilities"]))
    images = count(len(paths), "validation image")
    figures = f"{after / len(paths):.1%} on {images}, that of model.onnx {before / len(paths):.1%}"
    if before - after > sources.params.max_accuracy_loss * len(paths):
        loss = 100 * sources.params.max_accuracy_loss
        message = f"its accuracy is {figures}; it may fall by {loss:g} points (export.max_accuracy_loss)"
        raise RefusedError(message)
    unknown = ""
    if "known" in outputs:
        share = (outputs["known"] < sources.metadata.novelty["threshold"]).mean()
        unknown = f"; {share:.1%} of them are unknown, {sources.metadata.novelty['false_alarms']:.1%} are expected"
    return f"accuracy {figures}{unknown}"


INT8 = Variant("model.int8.onnx", "for small memories and processors that are fast in 8 bits", _make)
