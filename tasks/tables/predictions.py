"""`predictions.parquet`: the exported file's predictions for the test images, in the order of the manifest."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.files import atomic_file, require


class Predictions(NamedTuple):
    """N test images: paths, SHA-256 of the files in hex, labels, predicted classes, and the outputs of the file.

    `probabilities` is float32 [N, classes]. `known`, float32 [N], says how much each image resembles the training
    images; it is None if the file does not say.
    """

    paths: list[str]
    digests: list[str]
    labels: list[str]
    predicted: list[str]
    probabilities: npt.NDArray[np.float32]
    classes: list[str]
    known: npt.NDArray[np.float32] | None = None


def write(path: Path, table: Predictions) -> None:
    """Write a row an image; the class names go into the schema's metadata."""
    values = pa.FixedSizeListArray.from_arrays(pa.array(table.probabilities.ravel(), pa.float32()), len(table.classes))
    texts = {"path": table.paths, "sha256": table.digests, "label": table.labels, "predicted": table.predicted}
    columns: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in texts]
    schema = pa.schema(
        [*columns, ("probabilities", values.type), ("known", pa.float32())],
        metadata={"classes": json.dumps(table.classes, ensure_ascii=False)},
    )
    known = pa.nulls(len(table.paths), pa.float32()) if table.known is None else pa.array(table.known, pa.float32())
    arrays = [*(pa.array(column, pa.string()) for column in texts.values()), values, known]
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), temporary)


def read(path: Path) -> Predictions:
    """Return the table that `write` wrote; raises GraftError when the file is missing."""
    table = pq.read_table(require(path, "evaluation"))
    classes = [str(name) for name in json.loads((table.schema.metadata or {})[b"classes"])]
    names = ("path", "sha256", "label", "predicted")
    paths, digests, labels, predicted = ([str(cell) for cell in table[name].to_pylist()] for name in names)
    probabilities = np.array(table["probabilities"].to_pylist(), np.float32).reshape(-1, len(classes))
    scores = table["known"]
    known = None if scores.null_count else np.array(scores.to_pylist(), np.float32)
    return Predictions(paths, digests, labels, predicted, probabilities, classes, known)
