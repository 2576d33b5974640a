"""Resized pixels in the feature store, so that a photograph is decoded once for all backbones of one input size.

A row of the store is an image, uint8 [S, S, 3], as differences of neighbouring pixels, which compress to half.
"""

import math
import threading

import numpy as np
import numpy.typing as npt

from tasks.images.decoding import Pixels
from tasks.images.preprocessing import CHANNELS, Mask, Preprocessing, Variant, by_variant
from tasks.store import Index, Keys, Store

# An image with so many times as many pixels as its resized form takes about ten times as long to decode and resize
# as its resized pixels take to read (docs/performance.md). Smaller ones would only fill the store.
EXPENSIVE = 8
SEGMENT_BYTES = 16 << 20
CACHE_BYTES = 2 * SEGMENT_BYTES

Row = npt.NDArray[np.uint8]


class ResizedPixels:
    """Finds and keeps resized pixels; may be used by several threads, each call of which waits for the others."""

    def __init__(self, store: Store, preprocessing: Preprocessing) -> None:
        """Take the store, which is read only when pixels are asked for."""
        self._store, self._preprocessing = store, preprocessing
        self._segment_rows = max(1, SEGMENT_BYTES // (preprocessing.size**2 * CHANNELS))
        self._indexes: dict[Variant, Index] = {}
        self._pending: dict[Variant, list[tuple[Keys, Row]]] = {}
        self._lock = threading.Lock()

    def is_expensive(self, width: int, height: int) -> bool:
        """Tell whether an image of that size in pixels takes much longer to decode than its resized pixels to read."""
        return width * height >= EXPENSIVE * self._preprocessing.size**2

    def find(self, keys: Keys, scaled: Mask) -> list[Row | None]:
        """Return the row of each of n keys, None where the store has none.

        `scaled`, bool [n], says which are decoded at a reduced scale. Raises GraftError when the store cannot be read.
        """
        rows: list[Row | None] = [None] * len(scaled)
        with self._lock:
            for mask, variant in by_variant(keys.views, scaled):
                if variant not in self._indexes:
                    self._indexes[variant] = self._store.index(self._preprocessing.pixels(variant), CACHE_BYTES)
                index = self._indexes[variant]
                mask[mask] = ~index.missing(keys.take(mask))
                if not mask.any():
                    continue
                stored, missing = index.read(keys.take(mask))
                for position, row, is_missing in zip(np.flatnonzero(mask).tolist(), stored, missing, strict=True):
                    rows[position] = None if is_missing else row
        return rows

    def keep(self, keys: Keys, scaled: Mask, rows: list[Row]) -> None:
        """Take in the rows of n keys; they are written when there are enough for a segment. Raises GraftError."""
        with self._lock:
            for mask, variant in by_variant(keys.views, scaled):
                pending = self._pending.setdefault(variant, [])
                pending += [(keys.take(slice(row, row + 1)), rows[row]) for row in np.flatnonzero(mask).tolist()]
                while len(pending) >= self._segment_rows:
                    self._write(variant, pending[: self._segment_rows])
                    del pending[: self._segment_rows]

    def flush(self) -> None:
        """Write what was taken in and is not written yet; raises GraftError."""
        with self._lock:
            for variant, pending in self._pending.items():
                self._write(variant, pending)
            self._pending.clear()

    def _write(self, variant: Variant, pending: list[tuple[Keys, Row]]) -> None:
        if not pending:
            return
        parts, rows = zip(*pending, strict=True)
        keys = Keys(*map(np.concatenate, zip(*parts, strict=True)))
        self._store.write(self._preprocessing.pixels(variant), self._preprocessing.description, keys, np.stack(rows))


def to_row(pixels: Pixels) -> Row:
    """Return resized pixels, uint8 [S, S, 3], as a row of the store, uint8 [S * S * 3].

    First red and blue become their differences from green, then every value that from its left neighbour, all modulo
    256; the three channels follow each other.
    """
    planes = pixels.reshape(-1, CHANNELS).T.copy()
    planes[0] -= planes[1]
    planes[2] -= planes[1]
    row = planes.copy()
    row[:, 1:] -= planes[:, :-1]
    return row.ravel()


def from_row(row: Row) -> Pixels:
    """Return the pixels, uint8 [S, S, 3], of a row of the store."""
    size = math.isqrt(len(row) // CHANNELS)
    planes = np.cumsum(row.reshape(CHANNELS, -1), axis=1, dtype=np.uint8)
    pixels = np.empty((size, size, CHANNELS), np.uint8)
    flat = pixels.reshape(-1, CHANNELS)
    flat[:, 1] = planes[1]
    flat[:, 0] = planes[0] + planes[1]
    flat[:, 2] = planes[2] + planes[1]
    return pixels
