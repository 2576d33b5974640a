"""The identity of resized pixels: how a file was decoded, which view was made of it, and by which graph it was resized.

Training images may be decoded at a reduced scale, which is several times cheaper for photographs. All others are
decoded exactly as a client of the exported model does, so vectors and pixels of both kinds have different keys.
"""

import math
from collections.abc import Iterator
from hashlib import sha256
from itertools import product, starmap
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.images import decoding
from tasks.store import PIXELS, Collection, Description
from tasks.store.collection import Views

CHANNELS = 3
# A JPEG file is decoded at the smallest scale whose sides are still as many times as long as those of the resized
# image. The antialiased resize then has enough to average: values differ by 0.2 of 255 levels on average.
SCALED_SIDES = 2

Mask = npt.NDArray[np.bool_]


class Variant(NamedTuple):
    """A way to make resized pixels: decoded at a reduced scale or exactly, of an augmented view or the plain image."""

    scaled: bool
    is_view: bool


class Preprocessing(NamedTuple):
    """The way from files to resized pixels, uint8 [size, size, 3].

    `resize` is the SHA-256 of the resize in the graph, `augmentation` that of the making of views ('' if there are
    none), both in hex; `runtime` is the name and the version of the library that runs the graph. The resize uses the
    share `crop_share`, in (0, 1], of the sides of an image.
    """

    size: int
    resize: str
    augmentation: str
    runtime: str
    crop_share: float = 1.0

    @property
    def min_side(self) -> int:
        """The least length, in pixels, of the sides of an image that is decoded at a reduced scale."""
        return math.ceil(SCALED_SIDES * self.size / self.crop_share)

    @property
    def description(self) -> Description:
        """The name of the pixels in the table of the store."""
        return Description("resized pixels", f"{self.size}x{self.size}")

    def identity(self, *, scaled: bool) -> str:
        """Return the SHA-256, in hex, of decoding and resizing."""
        version = decoding.version(self.min_side if scaled else None)
        return sha256(f"decoding {version}, resizing {self.resize}".encode()).hexdigest()

    def pixels(self, variant: Variant) -> Collection:
        """Return the collection of the store that keeps such pixels."""
        augmentation = self.augmentation if variant.is_view else ""
        width = self.size * self.size * CHANNELS
        identity = self.identity(scaled=variant.scaled)
        return Collection(identity, "differences of neighbours", augmentation, self.runtime, PIXELS, width)


def by_variant(views: Views, scaled: Mask) -> Iterator[tuple[Mask, Variant]]:
    """Yield each variant among n rows with its rows, bool [n].

    `views` are the numbers of the views, of which 0 is the plain image; `scaled` are the rows that are decoded at a
    reduced scale.
    """
    is_view = views > 0
    for variant in starmap(Variant, product((False, True), repeat=2)):
        mask = (scaled == variant.scaled) & (is_view == variant.is_view)
        if mask.any():
            yield mask, variant
