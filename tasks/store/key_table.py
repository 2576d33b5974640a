"""Keys of many segments, in arrays in which millions of keys are found at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.store.collection import DIGEST_BYTES, Keys

VIEW_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: neighbouring views get distant numbers
Rows = npt.NDArray[np.int64]


class KeyTable:
    """The keys of segments one after another, so that a row is a vector; 50 bytes a key, and 100 while it is built."""

    def __init__(self, segments: Sequence[Keys]) -> None:
        """Take the keys of each segment; a key that several have is found in the first of them."""
        empty = Keys(np.empty((0, DIGEST_BYTES), np.uint8), np.empty(0, np.uint16))
        self._keys = Keys(*map(np.concatenate, zip(empty, *segments, strict=True)))
        ends = np.cumsum([0, *(len(keys.views) for keys in segments)])
        self.starts: Rows = ends[:-1]
        self._ends: Rows = ends[1:]
        mixed = _mix(self._keys)
        self._order = np.argsort(mixed, kind="stable")
        self._sorted = mixed[self._order]

    def segment_keys(self, segment: int) -> Keys:
        """Return the keys of a segment, in the table's memory."""
        return self._keys.take(slice(self.starts[segment], self._ends[segment]))

    def segments_of(self, rows: Rows) -> Rows:
        """Return the position of the segment of each row."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def find(self, keys: Keys) -> Rows:
        """Return the row of each key, int64 [n]; -1 where there is none."""
        mixed = _mix(keys)
        ascending = np.argsort(mixed)  # sorted numbers are looked up three times as fast
        slots = np.empty(len(mixed), np.int64)
        slots[ascending] = np.searchsorted(self._sorted, mixed[ascending])
        words, table_words = (np.ascontiguousarray(key_set.images).view(np.uint64) for key_set in (keys, self._keys))
        rows = np.full(len(mixed), -1)
        pending = np.arange(len(mixed))
        # Linear probing: a second probe happens only where different keys were mixed into the same number.
        while pending.size:
            pending = pending[slots[pending] < len(self._sorted)]
            pending = pending[self._sorted[slots[pending]] == mixed[pending]]
            candidates = self._order[slots[pending]]
            equal = (table_words[candidates] == words[pending]).all(axis=1)
            equal &= self._keys.views[candidates] == keys.views[pending]
            rows[pending[equal]] = candidates[equal]
            pending = pending[~equal]
            slots[pending] += 1
        return rows


def _mix(keys: Keys) -> npt.NDArray[np.uint64]:
    """Return a 64-bit number of each key: equal for equal keys, and hardly ever equal for different ones."""
    digest_words: npt.NDArray[np.uint64] = np.ascontiguousarray(keys.images[:, :8]).view("<u8").ravel()
    return digest_words ^ (keys.views.astype(np.uint64) * VIEW_FACTOR)
