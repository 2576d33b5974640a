"""From features to a trained head with its curves and its record of predictions."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tasks.common import graphs, networks, reference, training
from tasks.common.conversion import head_graph
from tasks.common.files import atomic_folder, require
from tasks.common.params import Head
from tasks.common.progress import say
from tasks.head.classifier import build


def make(features: Path, out: Path, params: Head) -> None:
    """Train on the training split, stop by the validation split, write the head into the folder `out`."""
    training.make_repeatable(params.seed, params.threads)
    table = pq.read_table(require(features, "features"))
    vectors = np.stack(list(table["features"].to_numpy(zero_copy_only=False)))
    labels, splits = np.array(table["label"].to_pylist()), np.array(table["split"].to_pylist())
    classes, targets = np.unique(labels, return_inverse=True)
    train, val = splits == "train", splits == "val"
    head = build(vectors[train], len(classes), params.hidden, params.dropout)
    history = training.fit(
        head, (vectors[train], targets[train]), (vectors[val], targets[val]), len(classes), params, "head"
    )
    reached = training.summary(history)
    say(f"head: {len(history)} epochs, validation accuracy {reached['val_accuracy']:.1%}")
    paths = np.array(table["path"].to_pylist())[val].tolist()
    with atomic_folder(out) as folder:
        networks.save(head, folder, "head")
        graphs.save(head_graph(head), folder / "head.onnx")
        training.write_history(history, folder / "history.csv")
        (folder / "metrics.json").write_text(json.dumps(reached, indent=1) + "\n", encoding="utf-8")
        reference.save(folder / "reference.parquet", paths, head.predict(vectors[val], verbose=0), classes.tolist())
