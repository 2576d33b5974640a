"""The rows of training and validation: the vectors of a request that have features too."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.extraction.request import Positions, Request
from tasks.finetuning.batches import Floats, Ints
from tasks.images.inference import Item
from tasks.images.preprocessing import Mask
from tasks.tables import features


class Sample(NamedTuple):
    """The vectors of training and validation, n of them.

    `request` lists them, `table_rows`, int64 [n], says where each is in the table of features, and `targets`, int64
    [n], which class it is of.
    """

    request: Request
    table_rows: Positions
    targets: Ints

    @property
    def in_validation(self) -> Mask:
        """Which vectors are of validation images, bool [n]."""
        return np.array([split == "val" for split in self.request.splits], np.bool_)[self.request.image_rows]

    @property
    def is_plain(self) -> Mask:
        """Which vectors are of plain images, bool [n]."""
        return np.asarray(self.request.keys.views == 0)

    @property
    def paths(self) -> list[str]:
        """The path of the image of each vector."""
        return [self.request.paths[image] for image in self.request.image_rows.tolist()]

    def items(self) -> list[Item]:
        """Return the images of the vectors, to be decoded as training images are."""
        digests = (digest.tobytes().hex() for digest in self.request.keys.images)
        return [Item(path, digest, scaled=True) for path, digest in zip(self.paths, digests, strict=True)]

    def take(self, mask: Mask) -> "Sample":
        """Return some of the vectors, bool [n], as a sample of their own."""
        request, rows = self.request, self.request.image_rows[mask]
        keys, scaled = request.keys.take(mask), request.scaled[mask]
        part = Request(request.paths, request.labels, request.splits, rows, keys, scaled)
        return Sample(part, self.table_rows[mask], self.targets[mask])


def find_sample(request: Request, table: features.Features, classes: Sequence[str]) -> Sample:
    """Return the training and validation vectors of the request that have features.

    Those of images that the stage `features` set aside have none. `classes` are the names that targets are indices of.
    """
    keys = zip(table.paths.tolist(), table.views.tolist(), strict=True)
    positions = {key: row for row, key in enumerate(keys)}
    views = request.keys.views.tolist()
    images = request.image_rows.tolist()
    rows = np.array(
        [positions.get((request.paths[image], view), -1) for image, view in zip(images, views, strict=True)], np.int64
    )
    index = {name: number for number, name in enumerate(classes)}
    targets = np.array([index[request.labels[image]] for image in images], np.int64)
    in_use = np.array([split in {"train", "val"} for split in request.splits], np.bool_)[request.image_rows]
    return Sample(request, rows, targets).take((rows >= 0) & in_use)


def fixed_features(sample: Sample, table: features.Features, taps: Sequence[str]) -> Floats:
    """Return the features of some taps, float32 [n, D], side by side."""
    columns = dict[str, slice]()
    start = 0
    for tap in table.taps:
        columns[tap.layer] = slice(start, start + tap.width)
        start += tap.width
    # Rows one tap at a time, so that no other tap's features are copied.
    parts = [table.vectors[:, columns[tap]][sample.table_rows] for tap in taps]
    return np.concatenate(parts, axis=1) if parts else np.empty((len(sample.table_rows), 0), np.float32)
