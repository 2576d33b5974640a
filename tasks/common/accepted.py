"""The accepted manifest as the later stages read it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from tasks.common.errors import GraftError, ImageError
from tasks.common.files import require
from tasks.common.images import Pixels, read
from tasks.common.parallel import cores, ordered_map
from tasks.common.sessions import Array, Session


class Accepted(NamedTuple):
    """One accepted image: path below the images' folder, class name, split."""

    path: str
    label: str
    split: str


def load(path: Path) -> list[Accepted]:
    """Return the accepted images in manifest order."""
    table = pq.read_table(require(path, "validation"), columns=list(Accepted._fields))
    return [Accepted(**row) for row in table.to_pylist()]


def each(images: Path, paths: Sequence[str], run: Session, ahead: int) -> Iterator[Array]:
    """Yield what `run`, one thread a pass, makes of each image by itself, [...] without N, in order, on all cores.

    At most `ahead` images are in flight. Raises GraftError for an image that can no longer be used.
    """
    return ordered_map(lambda path: run(pixels(images, path)[None])[0], paths, workers=cores(), ahead=ahead)


def pixels(root: Path, image: str) -> Pixels:
    """Decode an image that the scan accepted; raises GraftError if it can no longer be used."""
    try:
        return read(root / image, max_megapixels=math.inf)
    except ImageError as error:
        message = f"{root / image} changed since it was scanned: {error}. Run `dvc repro` to scan again."
        raise GraftError(message) from error
