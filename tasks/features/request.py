"""Which vectors a dataset needs: of every image the plain one, of training images further views."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from tasks.common.files import require
from tasks.features.store.collection import Digests, Keys, Views, digests

COLUMNS = ["path", "label", "split", "sha256"]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Wanted:
    """The vectors wanted, in the order of the manifest and of their views: n of them.

    `rows` are places in `paths`, `labels` and `splits`, int64 [n]; `views` are numbers, uint16 [n]; `images` are the
    SHA-256 of the images, uint8 [n, 32].
    """

    paths: list[str]
    labels: list[str]
    splits: list[str]
    rows: Places
    images: Digests
    views: Views

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.rows)

    def keys(self, places: Places) -> Keys:
        """Return the keys of the vectors at these places."""
        return Keys(self.images[places], self.views[places])

    def of_split(self, split: str) -> npt.NDArray[np.bool_]:
        """Tell which vectors are of images of that split, bool [n]."""
        return np.array([one == split for one in self.splits], np.bool_)[self.rows]


def wanted(manifest: Path, views: int) -> Wanted:
    """Return what the accepted manifest needs, with `views` (>= 1) of each training image, the plain one included."""
    table = pq.read_table(require(manifest, "validation"), columns=COLUMNS).to_pydict()
    counts = np.array([views if split == "train" else 1 for split in table["split"]], np.int64)
    rows = np.repeat(np.arange(len(counts)), counts)
    numbers = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    every = digests(table["sha256"])
    # Millions of images have few labels.
    labels, splits = ([sys.intern(text) for text in table[name]] for name in ("label", "split"))
    return Wanted(table["path"], labels, splits, rows, every[rows], numbers.astype(np.uint16))
