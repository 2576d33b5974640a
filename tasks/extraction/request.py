"""The vectors that a dataset needs: the plain image of every accepted image, and further views of training images."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from tasks.images.inference import Item
from tasks.images.preprocessing import Mask
from tasks.store import DIGEST_BYTES, Keys
from tasks.tables import accepted

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Request:
    """The vectors that a dataset needs, n of them, in the order of the manifest and of the views of an image.

    `paths`, `labels` and `splits` have an entry an image; `image_rows`, int64 [n], says which image a vector is of,
    `keys` identify the vectors in the feature store, and `scaled`, bool [n], says which images may be decoded at a
    reduced scale: those of training.
    """

    paths: list[str]
    labels: list[str]
    splits: list[str]
    image_rows: Positions
    keys: Keys
    scaled: Mask

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.image_rows)

    def keys_at(self, positions: Positions) -> Keys:
        """Return the keys of the vectors at these positions."""
        return self.keys.take(positions)

    def workload(self, positions: Positions) -> "Workload":
        """Return the vectors at these positions as work for an extractor."""
        paths = [self.paths[row] for row in self.image_rows[positions].tolist()]
        return Workload(paths, self.keys_at(positions), self.scaled[positions])


@dataclass(frozen=True, eq=False, repr=False)
class Workload(Sequence[Item]):
    """Vectors to compute. They become items when they are taken, for there may be millions.

    `paths` has an entry a vector, as `keys` and `scaled` have.
    """

    paths: list[str]
    keys: Keys
    scaled: Mask

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.paths)

    @overload
    def __getitem__(self, selected: int) -> Item: ...

    @overload
    def __getitem__(self, selected: slice) -> list[Item]: ...

    def __getitem__(self, selected: int | slice) -> Item | list[Item]:
        """Return an item, or a list of items; raises IndexError."""
        if isinstance(selected, int):
            return self[selected : selected + 1 or None][0]
        part = self.part(selected)
        digests = (digest.tobytes().hex() for digest in part.keys.images)
        return list(map(Item, part.paths, digests, part.keys.views.tolist(), part.scaled.tolist()))

    def part(self, selected: slice) -> "Workload":
        """Return some of the vectors as a workload of their own."""
        return Workload(self.paths[selected], self.keys.take(selected), self.scaled[selected])


def read_request(accepted_images: Path, views: int) -> Request:
    """Return the vectors that the accepted images need.

    `views` (>= 1) is the number of views of each training image, the plain one included; images of the other splits
    have the plain view alone.
    """
    images = accepted.read(accepted_images)
    in_train = np.array([image.split == "train" for image in images], np.bool_)
    counts = np.where(in_train, views, 1)
    image_rows = np.repeat(np.arange(len(images)), counts)
    # The first vector of an image has view number 0, the next one 1, and so on.
    view_numbers = np.arange(len(image_rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    digests = np.frombuffer(bytes.fromhex("".join(image.sha256 for image in images)), np.uint8)
    return Request(
        [image.path for image in images],
        # Millions of images share few labels and splits.
        [sys.intern(image.label) for image in images],
        [sys.intern(image.split) for image in images],
        image_rows,
        Keys(digests.reshape(-1, DIGEST_BYTES)[image_rows], view_numbers.astype(np.uint16)),
        in_train[image_rows],
    )
