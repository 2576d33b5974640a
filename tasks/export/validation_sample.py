"""The exported file over real images; its answers for validation images are what all variants are held to."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from tasks.common.threads import available_cores
from tasks.images.inference import Inference, Item, require_all
from tasks.onnx.sessions import Array, Session

BATCH_SIZE = 8


COMPARED = ("probabilities", "known")


class ValidationSample(NamedTuple):
    """N images: their resized pixels, uint8 [N, S, S, 3], and what the model says of them.

    `outputs` are `probabilities`, float32 [N, classes], and if the model has that output `known`, float32 [N].
    """

    resized: Array
    outputs: dict[str, Array]


def predict(model: onnx.ModelProto, images: Path, paths: Sequence[str]) -> ValidationSample:
    """Run the model over images below a folder; raises GraftError when one can no longer be used."""
    names = _compared(model)
    resized, *outputs = run(model, images, paths, ["resized", *names])
    return ValidationSample(resized, dict(zip(names, outputs, strict=True)))


def predict_resized(model: onnx.ModelProto, pixels: Array) -> dict[str, Array]:
    """Return `probabilities` and `known` of a model that starts at resized pixels, [N, S, S, 3], image by image."""
    names, session = _compared(model), Session(model, threads=1)
    rows = [session.outputs(image[None], names) for image in pixels]
    return {name: np.concatenate(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def run(model: onnx.ModelProto, images: Path, paths: Sequence[str], tensors: Sequence[str]) -> list[Array]:
    """Return tensors of the whole model for images below a folder, each by itself, as a client sends it.

    Raises:
        GraftError: An image can no longer be used.
    """
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    outputs = {output.name for output in model.graph.output}
    observed.graph.output.extend(
        value for value in model.graph.value_info if value.name in tensors and value.name not in outputs
    )
    session = Session(observed, threads=1)

    def prepare(pixels: Array, _: Item) -> Array:
        arrays = [output[0] for output in session.outputs(pixels[None], tensors)]
        # One record an image, because the results of a batch are stacked.
        kind = [(name, array.dtype, array.shape) for name, array in zip(tensors, arrays, strict=True)]
        return np.array(tuple(arrays), kind)

    inference = Inference(images, prepare, lambda batch: [batch[name] for name in tensors])
    batches = require_all(inference.run([Item(path) for path in paths], BATCH_SIZE, available_cores()), images)
    return [np.concatenate(column) for column in zip(*(batch.outputs for batch in batches), strict=True)]


def _compared(model: onnx.ModelProto) -> list[str]:
    return [output.name for output in model.graph.output if output.name in COMPARED]
