"""Folders of runs, as a comparison reads them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tasks.common.hashing import hash_file
from tasks.tables import predictions
from tasks.tables.predictions import Predictions


def write_images(folder: Path, paths: Sequence[str]) -> dict[str, str]:
    """Write a different small picture to each path and return the SHA-256 of each."""
    digests = {}
    for number, path in enumerate(paths):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 8), (number % 256, number // 256, 99)).save(file, "PNG")
        digests[path] = hash_file(file)
    return digests


def write_run(
    folder: Path,
    digests: Mapping[str, str],
    labels: Sequence[str],
    predicted: Sequence[str],
    params: str = "head:\n  epochs: 60\n",
    trained: Sequence[str] = (),
) -> Path:
    """Write the files of a run, whose test images are the paths of `digests`, and return its folder.

    `trained` are SHA-256 of training images.
    """
    evaluation, validation = folder / "artifacts" / "evaluation", folder / "artifacts" / "validation"
    evaluation.mkdir(parents=True)
    validation.mkdir()
    classes = sorted({*labels, *predicted})
    probabilities = np.full((len(labels), len(classes)), 0.25, np.float32)
    probabilities[np.arange(len(labels)), [classes.index(name) for name in predicted]] = 0.75
    table = Predictions(
        list(digests), list(digests.values()), list(labels), list(predicted), probabilities, classes, None
    )
    predictions.write(evaluation / "predictions.parquet", table)
    right = [label == guess for label, guess in zip(labels, predicted, strict=True)]
    metrics = {"images": len(labels), "accuracy": float(np.mean(right)), "accuracy_low": 0.1, "confidence": 0.95}
    (evaluation / "metrics.json").write_text(json.dumps(metrics))
    rows = [*((digest, "test") for digest in digests.values()), *((digest, "train") for digest in trained)]
    accepted = [
        {"path": digest, "label": "x", "split": split, "sha256": digest, "group": None} for digest, split in rows
    ]
    pq.write_table(pa.Table.from_pylist(accepted), validation / "accepted.parquet")
    (folder / "params.yaml").write_text(params)
    return folder
