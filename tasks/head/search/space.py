"""The coordinates in which linear candidates are fitted: standardised features of some taps, reduced to their rank."""

from typing import NamedTuple

import numpy as np

from tasks.head.rows import Rows
from tasks.head.scaling import Scaling
from tasks.head.search.linear import Array, Ints, Sample

# Directions with less than this share of the largest variance are left out.
RANK_TOLERANCE = 1e-10
# Wider features are not rotated to their principal axes.
WIDEST_ROTATION = 2048


class Space(NamedTuple):
    """Features of the taps with these indexes, in these columns, as coordinates of a sample.

    `rotation` times a kernel of the coordinates [r, C] is the kernel of the standardised features [D, C]; None stands
    for equal kernels. Where there are fewer rows than features, `rotation` is [R, r], and the product is multiplied by
    the transposed `standardised` features [R, D] too.
    """

    taps: tuple[int, ...]
    columns: Ints
    sample: Sample
    rotation: Array | None
    standardised: Array | None

    def features_kernel(self, kernel: Array) -> Array:
        """Return the kernel [D, C] of standardised features for a kernel [r, C] of coordinates."""
        if self.rotation is None:
            return kernel
        product = self.rotation @ kernel
        return product if self.standardised is None else self.standardised.T @ product


def standardise(rows: Rows, scaling: Scaling) -> Array:
    """Return the standardised features, float64 [R, D]."""
    return (rows.vectors - scaling.mean) * scaling.factor


def make_space(features: Array, rows: Rows, taps: tuple[int, ...]) -> Space:
    """Return the space of those taps; `features` are the standardised features of all taps, [R, D]."""
    columns = rows.columns(taps)
    own = features if len(columns) == features.shape[1] else features[:, columns]
    classes, width = len(rows.classes), len(columns)
    if len(own) > width:
        return Space(taps, columns, Sample(own, rows.targets, classes, width), None, None)
    variances, axes = np.linalg.eigh(own @ own.T)
    used = variances > RANK_TOLERANCE * variances[-1]
    lengths = np.sqrt(variances[used])
    sample = Sample(axes[:, used] * lengths, rows.targets, classes, width)
    return Space(taps, columns, sample, axes[:, used] / lengths, own)


def rotate(space: Space) -> Space:
    """Return the space with its coordinates along their principal axes, where the logistic fit converges fastest."""
    if space.rotation is not None or len(space.columns) > WIDEST_ROTATION:
        return space
    coordinates = space.sample.coordinates
    variances, axes = np.linalg.eigh(coordinates.T @ coordinates)
    axes = axes[:, variances > RANK_TOLERANCE * variances[-1]]
    return space._replace(sample=space.sample._replace(coordinates=coordinates @ axes), rotation=axes)
