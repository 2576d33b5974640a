"""`features.parquet`: a row a vector, in the order of the manifest and of the views of an image."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file, require

TEXTS = ("path", "label", "split")
TAPS = b"taps"


class Tap(NamedTuple):
    """A cut that vectors come from: its layer, the number of its features, its depth in the base, in (0, 1].

    The vectors of all taps lie side by side in a row of the table, in order of depth.
    """

    layer: str
    width: int
    depth: float


class Block(NamedTuple):
    """Some rows: texts, view numbers, uint16 [n], and vectors, float32 [n, width]."""

    paths: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]
    views: npt.NDArray[np.uint16]
    vectors: npt.NDArray[np.float32]


class Features(NamedTuple):
    """The whole table: texts, str [n] each, view numbers, uint16 [n], vectors, float32 [n, width], and their taps."""

    paths: npt.NDArray[np.str_]
    labels: npt.NDArray[np.str_]
    splits: npt.NDArray[np.str_]
    views: npt.NDArray[np.uint16]
    vectors: npt.NDArray[np.float32]
    taps: tuple[Tap, ...]


def write(path: Path, taps: Sequence[Tap], blocks: Iterable[Block]) -> None:
    """Write the blocks one after the other; the bytes depend on taps, blocks and pyarrow's version alone."""
    width = sum(tap.width for tap in taps)
    columns: list[tuple[str, pa.DataType]] = [
        *((name, pa.string()) for name in TEXTS),
        ("view", pa.uint16()),
        ("features", pa.list_(pa.float32(), width)),
    ]
    schema = pa.schema(columns, metadata={TAPS: json.dumps([tap._asdict() for tap in taps])})
    # Vectors rarely repeat, so dictionary encoding and min/max statistics only cost time.
    repeating = ["label", "split", "view"]
    options: dict[str, Any] = {"use_dictionary": repeating, "write_statistics": ["path", *repeating]}
    with atomic_file(path) as temporary, pq.ParquetWriter(temporary, schema, **options) as writer:
        for block in blocks:
            texts = [pa.array(texts) for texts in (block.paths, block.labels, block.splits)]
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.vectors.ravel()), width)
            writer.write_table(pa.Table.from_arrays([*texts, pa.array(block.views), vectors], schema=schema))


def read(path: Path) -> Features:
    """Return the whole table.

    Raises:
        GraftError: The file is missing, or memory is too small for training on it.
    """
    file = pq.ParquetFile(require(path, "features"))
    width, rows = file.schema_arrow.field("features").type.list_size, file.metadata.num_rows
    # The table as it is read, and once more the rows that training takes from it.
    needed, free = 2 * 4 * width * rows, psutil.virtual_memory().available
    if needed > free:
        message = (
            f"{path} holds {rows:,} vectors of {width:,} numbers: training needs {needed / 1e9:,.1f} GB of memory, and "
            f"{free / 1e9:,.1f} GB are free. Set backbone.pooling to avg, or take fewer features.views."
        )
        raise GraftError(message)
    vectors = np.empty((rows, width), np.float32)
    start = 0
    for batch in file.iter_batches(columns=["features"]):
        values = cast("pa.FixedSizeListArray[Any, Any]", batch.column(0)).flatten()
        vectors[start : start + len(batch)] = values.to_numpy().reshape(-1, width)
        start += len(batch)
    text_columns = file.read(columns=[*TEXTS, "view"])
    paths, labels, splits = (np.array(text_columns[name].to_pylist(), np.str_) for name in TEXTS)
    taps = tuple(Tap(**row) for row in json.loads((file.schema_arrow.metadata or {})[TAPS]))
    return Features(paths, labels, splits, text_columns["view"].to_numpy(), vectors, taps)


def read_plain(path: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Return the paths of the images, str [n], and the vectors of their plain views, float32 [n, width], in order.

    Raises:
        GraftError: The file is missing, or memory is too small for its vectors.
    """
    file = pq.ParquetFile(require(path, "features"))
    width = file.schema_arrow.field("features").type.list_size
    columns = file.read(columns=["path", "view"])
    plain = columns["view"].to_numpy() == 0
    paths = [str(path) for path in columns["path"].filter(pa.array(plain)).to_pylist()]
    needed, free = 3 * 4 * width * len(paths), psutil.virtual_memory().available
    if needed > free:
        message = (
            f"{path} holds {len(paths):,} plain vectors of {width:,} numbers: comparing them needs {needed / 1e9:,.1f} "
            f"GB of memory, and {free / 1e9:,.1f} GB are free. Set backbone.pooling to avg."
        )
        raise GraftError(message)
    vectors = np.empty((len(paths), width), np.float32)
    start = filled = 0
    for batch in file.iter_batches(columns=["features"]):
        values = cast("pa.FixedSizeListArray[Any, Any]", batch.column(0)).flatten().to_numpy().reshape(-1, width)
        chosen = values[plain[start : start + len(batch)]]
        vectors[filled : filled + len(chosen)] = chosen
        start, filled = start + len(batch), filled + len(chosen)
    return paths, vectors
