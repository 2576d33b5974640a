"""The index of a collection: the keys that the store has, and their rows in any order."""

from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from tasks.store.collection import Collection, Keys, Values
from tasks.store.header import DamagedError
from tasks.store.key_table import KeyTable
from tasks.store.location import Entry, Location, error_text
from tasks.store.scan import list_segments, read_segments
from tasks.store.segment import decode, read_keys

CACHE_BYTES = 1 << 28
Mask = npt.NDArray[np.bool_]


class Index:
    """The keys of one collection; for one thread.

    Rows are read a segment at a time and the last segments are cached: ask for rows in the order in which they were
    written, or for many at once.
    """

    def __init__(self, location: Location, collection: Collection, cache_bytes: int) -> None:
        """Read the keys of all segments; cache up to `cache_bytes` of rows. Raises GraftError."""
        self._location, self._collection, self._cache_bytes = location, collection, cache_bytes
        self._cache: OrderedDict[Entry, Values] = OrderedDict()
        self._reported: set[tuple[str, str]] = set()
        self._arrange({})
        self.refresh()

    def refresh(self) -> None:
        """Take in what was written or deleted since, and try damaged files once more; raises GraftError."""
        segments = list_segments(self._location, self._collection.id)
        # The time and the size tell a file that was written again from the one whose keys are here.
        keys = {segment: self._table.segment_keys(number) for number, segment in enumerate(self._segments)}
        fresh = [segment for segment in segments if segment not in keys]
        fresh_keys, reasons = read_segments(
            self._location, self._collection.id, fresh, lambda file, size: read_keys(file, size, self._collection)
        )
        self._ignore(reasons)
        keys |= fresh_keys
        self._arrange({segment: keys[segment] for segment in segments if segment in keys})

    def missing(self, keys: Keys) -> Mask:
        """Tell which of n keys the store lacks, bool [n]; raises ValueError for arrays that are no keys."""
        keys.check()
        return self._table.find(keys) < 0

    def read(self, keys: Keys) -> tuple[Values, Mask]:
        """Return the rows of n keys in this order, [n, width], and which of them are missing, bool [n].

        They have the collection's dtype. The row of a missing key is zero. Besides the keys for which `missing` is
        true, those are missing whose segments turn out to be damaged or deleted; from then on `missing` is true for
        them as well.

        Raises:
            GraftError: The store cannot be reached.
            ValueError: The arrays are no keys.
        """
        keys.check()
        values = np.zeros((len(keys.views), self._collection.width), self._collection.dtype)
        missing = np.ones(len(keys.views), np.bool_)
        pending = np.arange(len(keys.views))
        while pending.size:  # a second time only if segments were lost: others may have the same keys
            rows = self._table.find(keys.take(pending))
            pending, rows = pending[rows >= 0], rows[rows >= 0]
            segments = self._table.segments_of(rows)
            lost = set()
            for number in np.unique(segments).tolist():
                segment_values = self._load(number)
                if segment_values is None:
                    lost.add(self._segments[number])
                    continue
                here = segments == number
                values[pending[here]] = segment_values[rows[here] - self._table.starts[number]]
                missing[pending[here]] = False
            if lost:
                self._drop(lost)
            pending = pending[missing[pending]]
        return values, missing

    def _arrange(self, segments: dict[Entry, Keys]) -> None:
        self._segments = list(segments)
        self._table = KeyTable(list(segments.values()))

    def _drop(self, lost: set[Entry]) -> None:
        numbered = enumerate(self._segments)
        self._arrange({entry: self._table.segment_keys(number) for number, entry in numbered if entry not in lost})

    def _load(self, number: int) -> Values | None:
        """Return the rows of a segment, from the cache or its file; None if the file is damaged or deleted."""
        entry = self._segments[number]
        if entry in self._cache:
            self._cache.move_to_end(entry)
            return self._cache[entry]
        try:
            with self._location.open(self._collection.id, entry.name) as file:
                content = file.read_buffer(entry.size + 1)  # one byte more, to notice a file that grew
            keys, values = decode(entry.name, content, self._collection)
            # The keys of the index were read without a look at the hash.
            indexed = self._table.segment_keys(number)
            if not (np.array_equal(keys.images, indexed.images) and np.array_equal(keys.views, indexed.views)):
                message = "its keys were misread"
                raise DamagedError(message)
        except FileNotFoundError:
            return None
        except (DamagedError, OSError) as error:
            self._ignore({entry.name: error_text(error)})
            return None
        self._cache[entry] = values
        while sum(cached.nbytes for cached in self._cache.values()) > self._cache_bytes:
            self._cache.popitem(last=False)
        return values

    def _ignore(self, reasons: dict[str, str]) -> None:
        """Say once which files are ignored, and why; raises GraftError if the store itself is out of reach."""
        self._location.report_ignored(self._collection.id, dict(reasons.items() - self._reported))
        self._reported |= reasons.items()
