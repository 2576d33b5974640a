"""The features of the plain images, as the head reads them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.tables.features import Features


class Vectors(NamedTuple):
    """N images, each as it is: path, class and split, str [N] each, and features, float32 [N, width]."""

    paths: npt.NDArray[np.str_]
    labels: npt.NDArray[np.str_]
    splits: npt.NDArray[np.str_]
    values: npt.NDArray[np.float32]

    def select(self, mask: npt.NDArray[np.bool_]) -> "Vectors":
        """Return the images that the mask, bool [N], selects."""
        return Vectors(self.paths[mask], self.labels[mask], self.splits[mask], self.values[mask])


def plain_vectors(table: Features, layers: Sequence[str]) -> Vectors:
    """Return the plain views of all images with the features of these layers; all, if the table has none of them."""
    plain = table.views == 0
    used = np.concatenate([np.full(tap.width, tap.layer in layers) for tap in table.taps])
    if not used.any():
        used[:] = True
    return Vectors(table.paths[plain], table.labels[plain], table.splits[plain], table.vectors[plain][:, used])
