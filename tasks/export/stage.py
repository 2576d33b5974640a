"""From base and head to one file from image to probabilities, checked against the training side's predictions."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx

from tasks.common.errors import GateError
from tasks.common.files import require
from tasks.common.params import Export
from tasks.common.progress import say
from tasks.common.threads import available_cores
from tasks.images.inference import Inference, Item, require_all
from tasks.images.sources import image_folder
from tasks.onnx import graphs
from tasks.onnx.sessions import Array, Session
from tasks.tables import reference

BATCH_SIZE = 8


def export_model(images: Path, backbone: Path, tuned: Path, out: Path, params: Export) -> None:
    """Join the base (tuned, if fine-tuning won) with the head and write the file to `out`.

    Of the base, the file has only the layers that the taps need which the head uses.

    Raises:
        GateError: Its probabilities differ from the training side's by more than `params.tolerance` on the validation
            images compared.
    """
    images = image_folder(images)
    tuned_base = tuned / "backbone.onnx"
    is_tuned = tuned_base.exists()
    base_file = tuned_base if is_tuned else require(backbone / "backbone.onnx", "backbone")
    head_file = require(tuned / "head.onnx", "finetuning")
    base, head = onnx.load(base_file), onnx.load(head_file)
    head_metadata = graphs.metadata(head)
    if "taps" in head_metadata:
        base = graphs.select_taps(base, json.loads(head_metadata["taps"]))
    model = graphs.join(base, head)
    expected = reference.read(tuned / "reference.parquet")
    graphs.set_metadata(
        model,
        {
            "classes": json.dumps(expected.classes, ensure_ascii=False),
            "preprocessing": "RGB uint8 with EXIF orientation applied; resizing and normalising are in the graph",
            "backbone": graphs.metadata(base)["backbone"],
            "taps": json.dumps([tap["layer"] for tap in json.loads(graphs.metadata(base)["taps"])]),
            "finetuned": json.dumps(is_tuned),
            "base_sha256": sha256(base_file.read_bytes()).hexdigest(),
            "head_sha256": sha256(head_file.read_bytes()).hexdigest(),
        },
    )
    paths = expected.paths[: params.parity_images]
    probabilities = _predict(model, images, paths)
    error = float(np.abs(probabilities - expected.probabilities[: len(paths)]).max())
    # A comparison with NaN is false, so that it never passes.
    if not error <= params.tolerance:
        message = (
            f"the exported file's probabilities differ from the training side's by up to {error:.1e}; "
            f"expected at most {params.tolerance:.1e} (export.tolerance)."
        )
        raise GateError(message)
    graphs.save(model, out)
    say(f"export: {out}, equal to the training side within {params.tolerance:.0e} on {len(paths)} images")


def _predict(model: onnx.ModelProto, images: Path, paths: list[str]) -> Array:
    """Return the model's probabilities, float32 [N, classes], each image by itself as a client sends it."""
    session = Session(model, threads=1)
    inference = Inference(images, prepare=lambda pixels, _: session(pixels[None])[0], forward=lambda batch: [batch])
    batches = inference.run([Item(path) for path in paths], BATCH_SIZE, available_cores())
    return np.concatenate([batch.outputs[0] for batch in require_all(batches, images)])
