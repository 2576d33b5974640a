"""Which keys of a space the feature store holds, and their vectors in any order."""

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pyarrow import fs

from tasks.common.threads import ordered_map
from tasks.features.store.collection import DIGEST_BYTES, Collection, Digests, Keys, Vectors, Views
from tasks.features.store.location import Location, reason
from tasks.features.store.segment import NAME, DamagedError, decode, read_keys

CACHE_BYTES = 1 << 28
READERS = 8
ODD = np.uint64(0x9E3779B97F4A7C15)
Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class Segment(NamedTuple):
    """A file that was there when the index was read: its name, size in bytes and time, and its keys."""

    name: str
    size: int
    time: int | None
    keys: Keys


class Index:
    """The keys of one space, 50 bytes each in memory and 100 while they are read; for one thread.

    Vectors are read a segment at a time and the last ones are kept: ask for them in the order in which they were
    written, or for many at once.
    """

    def __init__(self, place: Location, space: Collection, cache_bytes: int) -> None:
        """Read the keys of all segments; keep up to `cache_bytes` of vectors. Raises GraftError."""
        self._place, self._space, self._cache_bytes = place, space, cache_bytes
        self._segments: list[Segment] = []
        self._usable: Mask = np.empty(0, np.bool_)
        self._cache: OrderedDict[str, Vectors] = OrderedDict()
        self._told: set[tuple[str, str]] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take in what was written or deleted since, and damaged files once more; raises GraftError."""
        files = self._place.entries(self._space.id)
        known = {segment[:3]: segment for segment, usable in zip(self._segments, self._usable, strict=True) if usable}
        fresh = [info for info in files if _identity(info) not in known and not info.base_name.startswith(".")]
        useless = {}
        for info, keys in zip(fresh, ordered_map(self._read_keys, fresh, READERS, ahead=8 * READERS), strict=True):
            self._cache.pop(info.base_name, None)  # it was right for the keys that were read before
            if isinstance(keys, Keys):
                known[_identity(info)] = Segment(*_identity(info), keys)
            elif keys:
                useless[info.base_name] = keys
        self._ignore(useless)
        self._arrange([known[_identity(info)] for info in files if _identity(info) in known])

    def missing(self, images: Digests, views: Views) -> Mask:
        """Tell which of these keys, uint8 [n, 32] and uint16 [n], the store lacks: bool [n]."""
        Keys(images, views).check()
        return self._find(images, views) < 0

    def read(self, images: Digests, views: Views) -> tuple[Vectors, Mask]:
        """Return the vectors of these keys in this order, float32 [n, width], and which are missing, bool [n].

        The vector of a missing key is zero. Besides the keys that `missing` tells, those are missing whose segments
        turn out damaged or were deleted; from then on `missing` tells them too. Raises GraftError when the store cannot
        be reached.
        """
        Keys(images, views).check()
        vectors = np.zeros((len(views), self._space.width), np.float32)
        missing = np.ones(len(views), np.bool_)
        wanted = np.arange(len(views))
        while wanted.size:  # more than once only when a segment is lost: another one may have the same keys
            rows = self._find(images[wanted], views[wanted])
            wanted, rows = wanted[rows >= 0], rows[rows >= 0]
            segments = self._segment_of(rows)
            for number in np.unique(segments).tolist():
                if (held := self._load(number)) is not None:
                    here = segments == number
                    vectors[wanted[here]] = held[rows[here] - self._starts[number]]
                    missing[wanted[here]] = False
            wanted = wanted[missing[wanted]]
        return vectors, missing

    def _arrange(self, segments: list[Segment]) -> None:
        """Put the keys of all segments, by name, into arrays in which one can be found by halving."""
        keys = [Keys(np.empty((0, DIGEST_BYTES), np.uint8), np.empty(0, np.uint16)), *(one.keys for one in segments)]
        self._images = np.concatenate([one.images for one in keys])
        self._views = np.concatenate([one.views for one in keys])
        ends = np.cumsum([len(one.views) for one in keys])
        self._starts: Numbers = ends[:-1]
        # Slices of the arrays above, so that the keys are not held twice.
        self._segments = [
            one._replace(keys=Keys(self._images[start:end], self._views[start:end]))
            for one, start, end in zip(segments, ends[:-1], ends[1:], strict=True)
        ]
        self._usable = np.ones(len(segments), np.bool_)
        mixed = _mixed(self._images, self._views)
        self._order = np.argsort(mixed, kind="stable")
        self._sorted = mixed[self._order]

    def _find(self, images: Digests, views: Views) -> Numbers:
        """Return the row of each key, the first in a usable segment; -1 where there is none."""
        mixed = _mixed(images, views)
        inorder = np.argsort(mixed)  # numbers in order are found three times as fast
        place = np.empty(len(mixed), np.int64)
        place[inorder] = np.searchsorted(self._sorted, mixed[inorder])
        words, known = np.ascontiguousarray(images).view(np.uint64), self._images.view(np.uint64)
        found = np.full(len(mixed), -1)
        left = np.arange(len(mixed))
        # Once, and again only for keys of lost segments and for different keys that are mixed into the same number.
        while left.size:
            left = left[place[left] < len(self._sorted)]
            left = left[self._sorted[place[left]] == mixed[left]]
            rows = self._order[place[left]]
            usable = self._usable[self._segment_of(rows)]
            same = (known[rows] == words[left]).all(axis=1) & (self._views[rows] == views[left]) & usable
            found[left[same]] = rows[same]
            left = left[~same]
            place[left] += 1
        return found

    def _segment_of(self, rows: Numbers) -> Numbers:
        return np.searchsorted(self._starts, rows, side="right") - 1

    def _load(self, number: int) -> Vectors | None:
        """Return the vectors of a segment, from the cache or its file; None, from then on, if it is lost."""
        name, size, _, keys = self._segments[number]
        if name in self._cache:
            self._cache.move_to_end(name)
            return self._cache[name]
        try:
            with self._place.files.open_input_file(self._place.path(self._space.id, name)) as file:
                content = file.read_buffer(size + 1)  # a file that grew is not the one that the index knows
            found, vectors = decode(name, content, self._space)
            if not (np.array_equal(found.images, keys.images) and np.array_equal(found.views, keys.views)):
                message = "its keys were misread"
                raise DamagedError(message)
        except FileNotFoundError:
            self._usable[number] = False
            return None
        except (DamagedError, OSError) as error:
            self._usable[number] = False
            self._ignore({name: reason(error)})
            return None
        self._cache[name] = vectors
        while sum(held.nbytes for held in self._cache.values()) > self._cache_bytes:
            self._cache.popitem(last=False)
        return vectors

    def _read_keys(self, info: fs.FileInfo) -> Keys | str:
        """Return the keys of a segment, or why it has none that can be used; '' if it was deleted meanwhile."""
        if not info.is_file or not NAME.fullmatch(info.base_name):
            return "it is no segment of a feature store"
        try:
            with self._place.files.open_input_file(info.path) as file:
                return read_keys(file, info.size, self._space)
        except FileNotFoundError:
            return ""
        except (DamagedError, OSError) as error:
            return reason(error)

    def _ignore(self, useless: dict[str, str]) -> None:
        """Say once which files are ignored, and why; raises GraftError if it is the store that is out of reach."""
        self._place.ignore(self._space.id, dict(useless.items() - self._told))
        self._told |= useless.items()


def _identity(info: fs.FileInfo) -> tuple[str, int, int | None]:
    return info.base_name, info.size, info.mtime_ns


def _mixed(images: Digests, views: Views) -> npt.NDArray[np.uint64]:
    """Return a number for each key: equal for equal keys, and as good as always different for different ones."""
    start: npt.NDArray[np.uint64] = np.ascontiguousarray(images[:, :8]).view("<u8").ravel()
    return start ^ (views.astype(np.uint64) * ODD)
