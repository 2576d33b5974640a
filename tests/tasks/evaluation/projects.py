"""A small project whose stages before `evaluation` have run: its files are made directly by their writers."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.evaluation.inputs import Inputs
from tasks.tables import features, held_out, manifest, quarantine
from tasks.tables.accepted import Accepted
from tasks.tables.held_out import HeldOut
from tests.tasks.conftest import write_accepted


def inputs_of(folder: Path) -> Inputs:
    """Return the paths of a project, whose images are in `photos`."""
    return Inputs(
        folder / "photos",
        folder / "dataset" / "manifest.parquet",
        folder / "validation" / "accepted.parquet",
        folder / "validation" / "quarantine.csv",
        folder / "validation" / "summary.json",
        folder / "backbone" / "backbone.json",
        folder / "features" / "features.parquet",
        folder / "head",
        folder / "finetuning",
        folder / "export",
    )


def write_inputs(folder: Path, rows: Sequence[Accepted]) -> Inputs:
    """Write everything that the stage reads, except the images in `photos` and the file `export/model.onnx`."""
    for name in ("dataset", "validation", "backbone", "features", "head", "finetuning", "export"):
        (folder / name).mkdir(exist_ok=True)
    inputs = inputs_of(folder)
    manifest.write(inputs.manifest, [manifest.Row(row.path, row.label, row.split, sha256=row.sha256) for row in rows])
    write_accepted(inputs.accepted, list(rows))
    quarantine.write(inputs.quarantine, [])
    summary: dict[str, object] = {"headline": None, "warnings": []}
    for file in (inputs.validation, *(inputs.export.parent / name / "summary.json" for name in ("head", "export"))):
        file.write_text(json.dumps(summary))
    vectors = np.random.default_rng(0).normal(size=(len(rows), 4)).astype(np.float32)
    block = features.Block(
        [row.path for row in rows],
        [row.label for row in rows],
        [row.split for row in rows],
        np.zeros(len(rows), np.uint16),
        vectors,
    )
    features.write(inputs.features, [features.Tap("last", 4, 1.0)], [block])
    known = [row for row in rows if row.split != "test"]
    classes = sorted({row.label for row in rows})
    probabilities = np.array([[row.label == name for name in classes] for row in known], np.float32)
    paths, labels, splits = ([getattr(row, name) for row in known] for name in ("path", "label", "split"))
    predicted = HeldOut(paths, labels, splits, probabilities.reshape(-1, len(classes)), classes)
    held_out.write(inputs.head / "held_out.parquet", predicted)
    (inputs.head / "choice.json").write_text(json.dumps({"reason": "The first candidate won."}))
    (inputs.finetuning / "metrics.json").write_text("{}")
    inputs.backbone.write_text(json.dumps({"name": "Net", "weights": "none", "licence": "MIT"}))
    return inputs
