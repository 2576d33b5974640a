"""`accepted.parquet`: the images that validation accepted, in the order of the manifest."""

from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from tasks.common.files import require


class Accepted(NamedTuple):
    """One accepted image: path below the images' folder, class name, split, SHA-256 of its bytes in hex."""

    path: str
    label: str
    split: str
    sha256: str


def read(path: Path) -> list[Accepted]:
    """Return the accepted images in manifest order; raises GraftError when the file is missing."""
    table = pq.read_table(require(path, "validation"), columns=list(Accepted._fields))
    return [Accepted(**row) for row in table.to_pylist()]
