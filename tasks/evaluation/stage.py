"""From the exported file and the test images to predictions, metrics, tables and the report."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from tasks.common.files import atomic_file, require
from tasks.common.params import Params
from tasks.common.progress import say
from tasks.common.summary import Summary
from tasks.common.text import printable
from tasks.evaluation.inference import explain_predictions, predict_test_images
from tasks.evaluation.inputs import Inputs
from tasks.evaluation.learning_curve import Point
from tasks.evaluation.measurements import Measurements, Tables, measure
from tasks.evaluation.occlusion import MAX_IMAGES
from tasks.evaluation.reliability import Bin
from tasks.evaluation.report.page import write_report
from tasks.evaluation.slices import Slice
from tasks.evaluation.thresholds import COLUMNS, missed_points
from tasks.evaluation.vectors import plain_vectors
from tasks.images.sources import image_folder
from tasks.onnx import graphs
from tasks.onnx.model_metadata import read_metadata
from tasks.store import Store
from tasks.tables import accepted, features, held_out, manifest, predictions
from tasks.tables.predictions import Predictions

NAME = "evaluation"


def evaluate_model(inputs: Inputs, out: Path, params: Params, store: Store) -> None:
    """Predict every test image and write predictions, metrics, tables and report.html into the folder `out`.

    Resized pixels that the store has are used instead of the image files. The thresholds that are tested are those in
    the file.

    Raises:
        GraftError: An input is missing, an image can no longer be used, or the store cannot be used.
    """
    images = image_folder(inputs.images)
    all_rows = accepted.read(inputs.accepted)
    rows = [row for row in all_rows if row.split == "test"]
    graph = onnx.load(require(inputs.model, "export"))
    metadata = read_metadata(graphs.metadata(graph), str(inputs.model))
    test = predict_test_images(graph, images, rows, metadata.classes, params.evaluation.confidence, store)
    tables = Tables(
        manifest.read(inputs.manifest),
        all_rows,
        plain_vectors(features.read(inputs.features), metadata.taps),
        held_out.read(inputs.head / "held_out.parquet"),
    )
    measurements = measure(test, metadata, tables, images)
    digests = [row.sha256 for row in rows]
    labels, guesses = test.labels(), test.guesses()
    table = Predictions(test.paths, digests, labels, guesses, test.probabilities, test.classes, test.known)
    predictions.write(out / "predictions.parquet", table)
    _write_tables(out, labels, guesses, measurements)
    for text in _sentences(measurements.metrics, measurements.points):
        say(f"{NAME}: {text}")
    summary = Summary(NAME)
    for text in missed_points(measurements.points):
        summary.warn(text)
    summary.write(out, None)
    explained = [example.image for example in measurements.examples[:MAX_IMAGES]]
    explanations = explain_predictions(graph, images, rows, test, explained, store)
    write_report(out / "report.html", images, inputs, params, metadata, all_rows, test, measurements, explanations)


def _write_tables(out: Path, labels: Sequence[str], guesses: Sequence[str], measurements: Measurements) -> None:
    with atomic_file(out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(measurements.metrics, indent=1) + "\n", encoding="utf-8")
    pairs = [{"actual": label, "predicted": guess} for label, guess in zip(labels, guesses, strict=True)]
    _write_csv(out / "confusion.csv", ["actual", "predicted"], pairs)
    _write_csv(out / "classes.csv", list(measurements.classes[0]), measurements.classes)
    _write_csv(out / "calibration.csv", list(Bin._fields), [row._asdict() for row in measurements.bins])
    curve = measurements.learning_curve
    _write_csv(
        out / "learning_curve.csv", list(Point._fields), [row._asdict() for row in curve.points] if curve else []
    )
    # DVC demands the files in every run: without points or slices, they have the names of the columns alone.
    _write_csv(out / "operating_points.csv", COLUMNS, measurements.points)
    _write_csv(out / "slices.csv", list(Slice._fields), [row._asdict() for row in measurements.slices.rows])


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


def _write_csv(path: Path, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
