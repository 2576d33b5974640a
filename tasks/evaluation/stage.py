"""From the exported file and the test images to predictions, metrics and plots."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.files import atomic_file, require
from tasks.common.progress import say, track
from tasks.common.threads import available_cores
from tasks.evaluation.metrics import by_class, overall
from tasks.onnx.sessions import Session
from tasks.tables import accepted


def evaluate(images: Path, manifest: Path, model: Path, out: Path, confidence: float) -> None:
    """Predict every test image from its file and write predictions, metrics and plots into the folder `out`."""
    rows = [row for row in accepted.load(manifest) if row.split == "test"]
    run = Session(require(model, "export").read_bytes(), threads=1)
    classes: list[str] = json.loads(run.metadata["classes"])
    found = accepted.each(images, [row.path for row in rows], run, ahead=4 * available_cores())
    probabilities = np.stack(list(track(found, len(rows), "evaluation")))
    actual = [row.label for row in rows]
    predicted = [classes[place] for place in probabilities.argmax(axis=1)]
    values = pa.FixedSizeListArray.from_arrays(pa.array(probabilities.ravel(), pa.float32()), len(classes))
    columns = [pa.array([row.path for row in rows]), pa.array(actual), pa.array(predicted), values]
    table = pa.Table.from_arrays(columns, names=["path", "label", "predicted", "probabilities"])
    with atomic_file(out / "predictions.parquet") as temporary:
        pq.write_table(table.replace_schema_metadata({"classes": json.dumps(classes, ensure_ascii=False)}), temporary)
    per_class = by_class(actual, predicted, classes)
    metrics = overall(actual, predicted, classes, confidence)
    with atomic_file(out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    pairs = ({"actual": a, "predicted": p} for a, p in zip(actual, predicted, strict=True))
    _write_csv(out / "confusion.csv", ["actual", "predicted"], pairs)
    _write_csv(out / "classes.csv", list(per_class[0]), per_class)
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    say(f"evaluation: test accuracy {metrics['accuracy']:.1%} ({confidence:.0%} interval {low:.1%} to {high:.1%})")


def _write_csv(path: Path, columns: list[str], rows: Iterable[dict[str, Any]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
