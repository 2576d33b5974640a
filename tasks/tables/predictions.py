"""`predictions.parquet`: the exported file's predictions for the test images, in the order of the manifest."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.files import atomic_file


def write(
    path: Path,
    paths: Sequence[str],
    labels: Sequence[str],
    predicted: Sequence[str],
    probabilities: npt.NDArray[np.float32],
    classes: Sequence[str],
    known: npt.NDArray[np.float32] | None = None,
) -> None:
    """Write a row an image: path, label, predicted class, float32 [N, classes] probabilities, and `known`.

    `known`, float32 [N], says how much each image resembles the training images; it is null if the file does not say.
    The class names go into the schema's metadata.
    """
    values = pa.FixedSizeListArray.from_arrays(pa.array(probabilities.ravel(), pa.float32()), len(classes))
    texts = {"path": paths, "label": labels, "predicted": predicted}
    columns: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in texts]
    schema = pa.schema(
        [*columns, ("probabilities", values.type), ("known", pa.float32())],
        metadata={"classes": json.dumps(list(classes), ensure_ascii=False)},
    )
    scores = pa.nulls(len(paths), pa.float32()) if known is None else pa.array(known, pa.float32())
    arrays = [*(pa.array(column, pa.string()) for column in texts.values()), values, scores]
    with atomic_file(path) as temporary:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), temporary)
