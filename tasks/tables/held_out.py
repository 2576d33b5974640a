"""`held_out.parquet`: calibrated probabilities for images by a model that did not see them.

With the search of the head, these are the predictions on folds for training and validation images; without it, those
for validation images. After fine-tuning, they are those of the chosen mixture for validation images.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.files import atomic_file, require


class HeldOut(NamedTuple):
    """Paths, labels and splits of N images, probabilities, float32 [N, classes], and class names."""

    paths: list[str]
    labels: list[str]
    splits: list[str]
    probabilities: npt.NDArray[np.float32]
    classes: list[str]


def write(path: Path, table: HeldOut) -> None:
    """Write a row an image; the class names go into the schema's metadata."""
    probabilities = np.ascontiguousarray(table.probabilities, np.float32)
    values = pa.FixedSizeListArray.from_arrays(pa.array(probabilities.ravel(), pa.float32()), len(table.classes))
    texts = {"path": table.paths, "label": table.labels, "split": table.splits}
    columns: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in texts]
    schema = pa.schema(
        [*columns, ("probabilities", values.type)],
        metadata={"classes": json.dumps(list(table.classes), ensure_ascii=False)},
    )
    arrays = [*(pa.array(column, pa.string()) for column in texts.values()), values]
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), temporary)


def read(path: Path) -> HeldOut:
    """Return the table that `write` wrote, in the folder of its stage; raises GraftError when the file is missing."""
    table = pq.read_table(require(path, path.parent.name))
    classes = [str(name) for name in json.loads((table.schema.metadata or {})[b"classes"])]
    paths, labels, splits = ([str(cell) for cell in table[name].to_pylist()] for name in ("path", "label", "split"))
    probabilities = np.array(table["probabilities"].to_pylist(), np.float32).reshape(-1, len(classes))
    return HeldOut(paths, labels, splits, probabilities, classes)
