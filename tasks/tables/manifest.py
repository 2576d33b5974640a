"""`manifest.parquet`: one row for each file of the dataset, in the order of the paths."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.errors import QuarantineKind
from tasks.common.files import atomic_file, require

COLUMNS: list[tuple[str, pa.DataType]] = [
    ("path", pa.string()),
    ("label", pa.string()),
    ("split", pa.string()),
    ("given_label", pa.string()),
    ("given_split", pa.string()),
    ("given_group", pa.string()),
    ("sha256", pa.string()),
    ("phash", pa.uint64()),
    ("group", pa.int64()),
    ("format", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("bytes", pa.int64()),
    ("mode", pa.string()),
    ("is_grey", pa.bool_()),
    ("brightness", pa.float32()),
    ("shadows", pa.float32()),
    ("highlights", pa.float32()),
    ("contrast", pa.float32()),
    ("entropy", pa.float32()),
    ("sharpness", pa.float32()),
    ("attributes", pa.map_(pa.string(), pa.string())),
    ("kind", pa.string()),
    ("reason", pa.string()),
]
SCHEMA = pa.schema(COLUMNS)
SPLITS = ("train", "val", "test")


class Row(NamedTuple):
    """One file: the properties that the scan could find out; a file that cannot be used has a kind and a reason.

    `path` lies below the images' folder, `sha256` is in hex, `phash` is a perceptual hash of 64 bits, `width` and
    `height` are pixels after the EXIF orientation. `group` numbers the images that share a split: near-duplicates, and
    those of the same `given_group`. `given_split` and `given_group` are what the folders or the table say, and
    `given_label` is the class before a correction of `label`; each is None where nothing is given.

    The rest describes the pixels: `mode` is that of the file in Pillow's words, `is_grey` says that the three channels
    are equal. `brightness`, `contrast`, `shadows` and `highlights` are mean, standard deviation, 5th and 99th
    percentile of the perceived brightness (HSP), in 0..1; `entropy` is the mean of the channels' histograms in bits,
    0..8; `sharpness`, >= 0, is the standard deviation of the edges of a copy of at most 64 pixels.

    `attributes` are the cells of further columns of the dataset's table, by the names of these columns.
    """

    path: str
    label: str
    split: str | None = None
    given_label: str | None = None
    given_split: str | None = None
    given_group: str | None = None
    sha256: str | None = None
    phash: int | None = None
    group: int | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    mode: str | None = None
    is_grey: bool | None = None
    brightness: float | None = None
    shadows: float | None = None
    highlights: float | None = None
    contrast: float | None = None
    entropy: float | None = None
    sharpness: float | None = None
    attributes: Mapping[str, str] | None = None
    kind: QuarantineKind | None = None
    reason: str | None = None


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows in the given order."""
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema=SCHEMA)
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary)


def read(path: Path) -> pa.Table:
    """Return the manifest as a table with the columns of SCHEMA; raises GraftError when the file is missing."""
    return pq.read_table(require(path, "dataset"))
