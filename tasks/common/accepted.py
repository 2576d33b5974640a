"""The accepted manifest as the later stages read it."""

import math
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from tasks.common.errors import GraftError, ImageError
from tasks.common.files import require
from tasks.common.images import Pixels, read


class Accepted(NamedTuple):
    """One accepted image: path below the images' folder, class name, split."""

    path: str
    label: str
    split: str


def load(path: Path) -> list[Accepted]:
    """Return the accepted images in manifest order."""
    table = pq.read_table(require(path, "validation"), columns=list(Accepted._fields))
    return [Accepted(**row) for row in table.to_pylist()]


def pixels(root: Path, image: str) -> Pixels:
    """Decode an image that the scan accepted; raises GraftError if it can no longer be used."""
    try:
        return read(root / image, max_megapixels=math.inf)
    except ImageError as error:
        message = f"{root / image} changed since it was scanned: {error}. Run `dvc repro` to scan again."
        raise GraftError(message) from error
