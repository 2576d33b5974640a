"""From the exported file and the test images to predictions, metrics and plots."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tasks.common.files import atomic_file, require
from tasks.common.params import Evaluation
from tasks.common.progress import say, track
from tasks.common.threads import available_cores
from tasks.evaluation.metrics import class_metrics, overall_metrics
from tasks.images.inference import Inference, Item, require_all
from tasks.images.sources import image_folder
from tasks.onnx.sessions import Session
from tasks.tables import accepted, predictions

BATCH_SIZE = 8


def evaluate_model(images: Path, accepted_images: Path, model: Path, out: Path, params: Evaluation) -> None:
    """Predict every test image from its file and write predictions, metrics and plots into the folder `out`.

    Raises:
        GraftError: The model is missing, or an image can no longer be used.
    """
    images = image_folder(images)
    rows = [row for row in accepted.read(accepted_images) if row.split == "test"]
    session = Session(require(model, "export").read_bytes(), threads=1)
    classes: list[str] = json.loads(session.metadata["classes"])
    # Each image runs by itself, as a client sends it.
    inference = Inference(images, prepare=lambda pixels, _: session(pixels[None])[0], forward=lambda batch: [batch])
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


def _write_csv(path: Path, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
