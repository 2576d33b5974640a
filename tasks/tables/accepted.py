"""`accepted.parquet`: the images that validation accepted, in the order of the manifest."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.files import atomic_file, require


class Accepted(NamedTuple):
    """One accepted image: path below the images' folder, class name, split, SHA-256 of its bytes in hex.

    Images of the same group share a split; None is no group.
    """

    path: str
    label: str
    split: str
    sha256: str
    group: int | None = None


def write(path: Path, manifest: pa.Table, mask: npt.NDArray[np.bool_]) -> None:
    """Write the rows of the manifest where `mask`, bool [N], is true.

    The columns of the quarantine are left out, and so are the attributes: nothing is trained on these, so that another
    camera in the user's table makes no stage stale but the report.
    """
    with atomic_file(path) as temporary:
        pq.write_table(manifest.filter(pa.array(mask)).drop_columns(["attributes", "kind", "reason"]), temporary)


def read(path: Path) -> list[Accepted]:
    """Return the accepted images in manifest order; raises GraftError when the file is missing."""
    table = pq.read_table(require(path, "validation"), columns=list(Accepted._fields))
    return [Accepted(**row) for row in table.to_pylist()]
