"""Images in, vectors out: decoding and resizing in threads, the forward pass in batches, in manifest order."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common import accepted, graphs
from tasks.common.files import atomic, require
from tasks.common.parallel import cores
from tasks.common.progress import track
from tasks.common.sessions import Session

ROW_GROUP_BATCHES = 32


def extract(images: Path, manifest: Path, backbone: Path, out: Path, batch_size: int) -> None:
    """Write path, label, split and features (float32 [D]) of every accepted image to `out`, in manifest order."""
    rows = accepted.load(manifest)
    model = onnx.load(require(backbone, "backbone"))
    resize = Session(graphs.part(model, "image", "resized"), threads=1)
    forward = Session(graphs.part(model, "resized", "features"), threads=cores())
    width = graphs.width(model)
    schema = pa.schema(
        [
            ("path", pa.string()),
            ("label", pa.string()),
            ("split", pa.string()),
            ("features", pa.list_(pa.float32(), width)),
        ]
    )
    pixels = accepted.each(images, [row.path for row in rows], resize, ahead=2 * batch_size)
    vectors = batched_forward(track(pixels, len(rows), "features"), forward, batch_size)
    remaining = iter(rows)
    with atomic(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while batches := list(islice(vectors, ROW_GROUP_BATCHES)):
            writer.write_table(_table(np.concatenate(batches), remaining, schema))


def batched_forward(
    images: Iterable[npt.NDArray[np.uint8]], forward: Session, batch_size: int
) -> Iterator[npt.NDArray[Any]]:
    """Yield the features, float32 [n, D], of every `batch_size` images, uint8 [S, S, 3]; the last n may be smaller."""
    remaining = iter(images)
    while batch := list(islice(remaining, batch_size)):
        yield forward(np.stack(batch))


def _table(features: npt.NDArray[Any], remaining: Iterator[accepted.Accepted], schema: pa.Schema) -> pa.Table:
    rows = list(islice(remaining, len(features)))
    values = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel(), pa.float32()), features.shape[1])
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return pa.Table.from_arrays([*columns, values], schema=schema)
