"""From the exported file and the test images to predictions, metrics and plots.

The file's graph runs in two parts, up to the resized image and from there, because the feature store may have resized
pixels already: they were made by the same resize from pixels decoded in the same way, so that the probabilities are
those of the whole file, bit for bit.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tasks.common.files import atomic_file, require
from tasks.common.params import Evaluation
from tasks.common.progress import say, track
from tasks.common.threads import available_cores
from tasks.evaluation.metrics import class_metrics, overall_metrics
from tasks.images.inference import Inference, Item, require_all
from tasks.images.resized import ResizedPixels
from tasks.images.sources import image_folder
from tasks.onnx import graphs
from tasks.onnx.resizing import read_preprocessing, resize_session
from tasks.onnx.sessions import Array, Session
from tasks.store import Store
from tasks.tables import accepted, predictions

BATCH_SIZE = 8


def evaluate_model(
    images: Path, accepted_images: Path, model: Path, out: Path, params: Evaluation, store: Store
) -> None:
    """Predict every test image and write predictions, metrics and plots into the folder `out`.

    Resized pixels that the store has are used instead of the image files.

    Raises:
        GraftError: The model is missing, an image can no longer be used, or the store cannot be used.
    """
    images = image_folder(images)
    rows = [row for row in accepted.read(accepted_images) if row.split == "test"]
    graph = onnx.load(require(model, "export"))
    classes: list[str] = json.loads(graphs.metadata(graph)["classes"])
    inference = _inference(images, graph, store)
    batches = require_all(
        inference.run([Item(row.path, row.sha256) for row in rows], BATCH_SIZE, available_cores()), images
    )
    tracked = track(batches, len(rows), "evaluation", size=len)
    probabilities = np.concatenate([batch.outputs[0] for batch in tracked])

    actual = [row.label for row in rows]
    predicted = [classes[index] for index in probabilities.argmax(axis=1)]
    paths = [row.path for row in rows]
    predictions.write(out / "predictions.parquet", paths, actual, predicted, probabilities, classes)
    metrics = overall_metrics(actual, predicted, classes, params.confidence)
    with atomic_file(out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    pairs = [{"actual": label, "predicted": guess} for label, guess in zip(actual, predicted, strict=True)]
    _write_csv(out / "confusion.csv", ["actual", "predicted"], pairs)
    per_class = class_metrics(actual, predicted, classes)
    _write_csv(out / "classes.csv", list(per_class[0]), per_class)
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    interval = f"{params.confidence:.0%} interval {low:.1%} to {high:.1%}"
    say(f"evaluation: test accuracy {metrics['accuracy']:.1%} ({interval})")


def _inference(images: Path, graph: onnx.ModelProto, store: Store) -> Inference:
    """Return the inference from images to probabilities, each image by itself, as a client sends it."""
    resize = resize_session(graph)
    classify = Session(graphs.extract(graph, "resized", "probabilities"), threads=1)

    def forward(batch: Array) -> list[Array]:
        return [np.concatenate([classify(pixels[None]) for pixels in batch])]

    resized = ResizedPixels(store, read_preprocessing(graph))
    return Inference(images, lambda pixels, _: resize(pixels[None])[0], forward, resized=resized)


def _write_csv(path: Path, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
