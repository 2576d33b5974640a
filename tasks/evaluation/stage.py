"""From the exported file and the test images to predictions, metrics and plots.

The file's graph runs in two parts, up to the resized image and from there, because the feature store may have resized
pixels already: they were made by the same resize from pixels decoded in the same way, so that the probabilities are
those of the whole file, bit for bit.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from tasks.common.files import atomic_file, require
from tasks.common.params import Evaluation
from tasks.common.progress import say, track
from tasks.common.summary import Summary
from tasks.common.text import printable
from tasks.common.threads import available_cores
from tasks.evaluation.metrics import class_metrics, overall_metrics
from tasks.evaluation.thresholds import COLUMNS, measure_points, measure_sets, measure_unknown, missed_points
from tasks.images.inference import Inference, Item, require_all
from tasks.images.resized import ResizedPixels
from tasks.images.sources import image_folder
from tasks.onnx import graphs
from tasks.onnx.model_metadata import read_metadata
from tasks.onnx.resizing import read_preprocessing, resize_session
from tasks.onnx.sessions import Array, Session
from tasks.store import Store
from tasks.tables import accepted, predictions

NAME = "evaluation"
BATCH_SIZE = 8


class Outputs(NamedTuple):
    """Outputs for N images: probabilities, float32 [N, classes], and `known`, float32 [N], if the file has it."""

    probabilities: Array
    known: Array | None = None


def evaluate_model(
    images: Path, accepted_images: Path, model: Path, out: Path, params: Evaluation, store: Store
) -> None:
    """Predict every test image and write predictions, metrics and plots into the folder `out`.

    Resized pixels that the store has are used instead of the image files. The thresholds that are tested are those in
    the file.

    Raises:
        GraftError: The model is missing, an image can no longer be used, or the store cannot be used.
    """
    images = image_folder(images)
    rows = [row for row in accepted.read(accepted_images) if row.split == "test"]
    graph = onnx.load(require(model, "export"))
    metadata = read_metadata(graphs.metadata(graph), str(model))
    classes = metadata.classes
    inference = _inference(images, graph, store)
    batches = require_all(
        inference.run([Item(row.path, row.sha256) for row in rows], BATCH_SIZE, available_cores()), images
    )
    tracked = track(batches, len(rows), NAME, size=len)
    columns = zip(*(batch.outputs for batch in tracked), strict=True)
    probabilities, known = Outputs(*(np.concatenate(column) for column in columns))

    actual = [row.label for row in rows]
    predicted = [classes[index] for index in probabilities.argmax(axis=1)]
    paths = [row.path for row in rows]
    predictions.write(out / "predictions.parquet", paths, actual, predicted, probabilities, classes, known)
    metrics = overall_metrics(actual, predicted, classes, params.confidence)
    metrics |= measure_unknown(metadata.novelty, known, params.confidence)
    metrics |= measure_sets(metadata.coverage, actual, probabilities, classes, params.confidence)
    with atomic_file(out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    pairs = [{"actual": label, "predicted": guess} for label, guess in zip(actual, predicted, strict=True)]
    _write_csv(out / "confusion.csv", ["actual", "predicted"], pairs)
    per_class = class_metrics(actual, predicted, classes)
    _write_csv(out / "classes.csv", list(per_class[0]), per_class)
    points = measure_points(metadata.operating_points, actual, probabilities, classes, params.confidence)
    # DVC demands the file in every run: without points, it has the names of the columns alone.
    _write_csv(out / "operating_points.csv", COLUMNS, points)
    for text in _sentences(metrics, points):
        say(f"{NAME}: {text}")
    summary = Summary(NAME)
    for text in missed_points(points):
        summary.warn(text)
    summary.write(out, None)


def _sentences(metrics: Mapping[str, Any], points: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the results in sentences."""
    confidence = f"{metrics['confidence']:.0%}"

    def figure(row: Mapping[str, Any], key: str) -> str:
        if row[key] is None:
            return f"{key} of no images"
        return f"{key} {row[key]:.1%} ({confidence} interval {row[f'{key}_low']:.1%} to {row[f'{key}_high']:.1%})"

    yield f"test {figure(metrics, 'accuracy')}"
    if "unknown" in metrics:
        yield f"called {figure(metrics, 'unknown')}"
    if "coverage" in metrics:
        yield f"sets of {metrics['set_size']:.2f} classes on average: {figure(metrics, 'coverage')}"
    for row in points:
        name = printable(row["class"])
        yield f"class '{name}' from {row['threshold']:.3g} on: {figure(row, 'precision')}, {figure(row, 'recall')}"


def _inference(images: Path, graph: onnx.ModelProto, store: Store) -> Inference:
    """Return the inference from images to the fields of Outputs, each image by itself, as a client sends it."""
    resize = resize_session(graph)
    names = [output.name for output in graph.graph.output]
    # All outputs stay, because the runtime may compute a graph with fewer of them in another way.
    classify = Session(graphs.extract(graph, "resized", names), threads=1)
    wanted = [name for name in Outputs._fields if name in names]

    def forward(batch: Array) -> list[Array]:
        columns = zip(*(classify.outputs(pixels[None], wanted) for pixels in batch), strict=True)
        return [np.concatenate(column) for column in columns]

    resized = ResizedPixels(store, read_preprocessing(graph))
    return Inference(images, lambda pixels, _: resize(pixels[None])[0], forward, resized=resized)


def _write_csv(path: Path, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
