"""`reference.parquet`: the predictions of the training side for the validation images, to check the exported file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.files import atomic_file, require


class Reference(NamedTuple):
    """Image paths, probabilities, float32 [N, classes], and class names."""

    paths: list[str]
    probabilities: npt.NDArray[np.float32]
    classes: list[str]


def write(path: Path, paths: Sequence[str], probabilities: npt.NDArray[np.float32], classes: Sequence[str]) -> None:
    """Write image paths and probabilities, float32 [N, classes]; the class names go into the schema's metadata."""
    values = pa.FixedSizeListArray.from_arrays(pa.array(probabilities.ravel(), pa.float32()), len(classes))
    schema = pa.schema(
        [("path", pa.string()), ("probabilities", values.type)], metadata={"classes": json.dumps(list(classes))}
    )
    table = pa.Table.from_arrays([pa.array(paths, pa.string()), values], schema=schema)
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary)


def read(path: Path) -> Reference:
    """Return the table that `write` wrote; raises GraftError when the file is missing."""
    table = pq.read_table(require(path, "finetuning"))
    classes = [str(name) for name in json.loads((table.schema.metadata or {})[b"classes"])]
    paths = [str(path) for path in table["path"].to_pylist()]
    probabilities = np.array(table["probabilities"].to_pylist(), np.float32).reshape(-1, len(classes))
    return Reference(paths, probabilities, classes)
