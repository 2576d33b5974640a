"""What the training side predicts: the record that the exported file is held to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq


def save(path: Path, images: list[str], probabilities: npt.NDArray[Any], classes: list[str]) -> None:
    """Write image paths and probabilities, float32 [N, classes], with the class names in the schema's metadata."""
    values = pa.FixedSizeListArray.from_arrays(pa.array(probabilities.ravel(), pa.float32()), len(classes))
    schema = pa.schema(
        [("path", pa.string()), ("probabilities", values.type)], metadata={"classes": json.dumps(classes)}
    )
    pq.write_table(pa.Table.from_arrays([pa.array(images, pa.string()), values], schema=schema), path)


def load(path: Path) -> tuple[list[str], npt.NDArray[np.float32], list[str]]:
    """Return image paths, probabilities, float32 [N, classes], and class names."""
    table = pq.read_table(path)
    classes = json.loads(table.schema.metadata[b"classes"])
    images = [str(path) for path in table["path"].to_pylist()]
    return images, np.array(table["probabilities"].to_pylist(), np.float32).reshape(-1, len(classes)), classes
