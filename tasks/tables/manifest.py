"""`manifest.parquet`: one row for each file of the dataset, in the order of the paths."""

from collections.abc import Iterable
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
    ("sha256", pa.string()),
    ("phash", pa.uint64()),
    ("group", pa.int64()),
    ("format", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("bytes", pa.int64()),
    ("kind", pa.string()),
    ("reason", pa.string()),
]
SCHEMA = pa.schema(COLUMNS)


class Row(NamedTuple):
    """One file: the properties that the scan could find out; a file that cannot be used has a kind and a reason.

    `path` lies below the images' folder, `sha256` is in hex, `phash` is a perceptual hash of 64 bits, `group` the
    number of its near-duplicates, `width` and `height` are pixels after the EXIF orientation.
    """

    path: str
    label: str
    split: str | None = None
    sha256: str | None = None
    phash: int | None = None
    group: int | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
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
