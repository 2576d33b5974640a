"""From features to a trained head with its curves and its record of predictions."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.errors import GraftError
from tasks.common.files import atomic_folder, require
from tasks.common.params import Head
from tasks.common.progress import say
from tasks.head.classifier import build
from tasks.networks import saving, training
from tasks.networks.conversion.keras_to_onnx import convert_head
from tasks.onnx import graphs
from tasks.tables import reference


def make(features: Path, out: Path, params: Head) -> None:
    """Train on all views of the training split, stop by the validation split, write the head into the folder `out`."""
    training.make_repeatable(params.seed, params.threads)
    vectors, table = load(require(features, "features"))
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
        saving.save(head, folder, "head")
        graphs.save(convert_head(head), folder / "head.onnx")
        training.write_history(history, folder / "history.csv")
        (folder / "metrics.json").write_text(json.dumps(reached, indent=1) + "\n", encoding="utf-8")
        reference.save(folder / "reference.parquet", paths, head.predict(vectors[val], verbose=0), classes.tolist())


def load(path: Path) -> tuple[npt.NDArray[np.float32], pa.Table]:
    """Return the features, float32 [n, D], and the other columns; raises GraftError when memory is too small."""
    file = pq.ParquetFile(path)
    width = file.schema_arrow.field("features").type.list_size
    # Once as read and once more where training takes its split from.
    need, free = 2 * 4 * width * file.metadata.num_rows, psutil.virtual_memory().available
    if need > free:
        message = (
            f"{path} holds {file.metadata.num_rows:,} vectors of {width:,} numbers: training needs "
            f"{need / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free. "
            "Set backbone.pooling to avg, or take fewer features.views."
        )
        raise GraftError(message)
    vectors = np.empty((file.metadata.num_rows, width), np.float32)
    start = 0
    for batch in file.iter_batches(columns=["features"]):
        values = cast("pa.FixedSizeListArray[Any, Any]", batch.column(0)).flatten()
        vectors[start : start + len(batch)] = values.to_numpy().reshape(-1, width)
        start += len(batch)
    return vectors, file.read(columns=["path", "label", "split"])
