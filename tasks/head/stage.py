"""From features to a trained head with its learning curves and its predictions for the validation images."""

import json
from pathlib import Path

import numpy as np

from tasks.common.files import atomic_folder
from tasks.common.params import Head
from tasks.common.progress import say
from tasks.head.classifier import build_head
from tasks.networks import saving, training
from tasks.networks.conversion.keras_to_onnx import convert_head
from tasks.onnx import graphs
from tasks.tables import features, reference


def train_head(features_file: Path, accepted_images: Path, out: Path, params: Head) -> None:
    """Train on all views of the training split, stop by the validation split, write the head into the folder `out`."""
    training.make_repeatable(params.seed, params.threads)
    table = features.read(features_file)
    classes, targets = np.unique(table.labels, return_inverse=True)
    train, val = table.splits == "train", table.splits == "val"
    head = build_head(table.vectors[train], len(classes), params.hidden, params.dropout)
    history = training.fit(
        head,
        (table.vectors[train], targets[train]),
        (table.vectors[val], targets[val]),
        len(classes),
        params,
        "head",
    )
    metrics = training.summary(history)
    say(f"head: {len(history)} epochs, validation accuracy {metrics['val_accuracy']:.1%}")
    predicted = head.predict(table.vectors[val], verbose=0)
    with atomic_folder(out) as folder:
        saving.save(head, folder, "head")
        graphs.save(convert_head(head), folder / "head.onnx")
        training.write_history(history, folder / "history.csv")
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        reference.write(folder / "reference.parquet", table.paths[val].tolist(), predicted, classes.tolist())
