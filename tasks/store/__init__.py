"""The feature store: a cache of vectors and resized pixels in a folder or a bucket; see README.md."""

from pathlib import Path

from tasks.store.collection import DIGEST_BYTES, PIXELS, Collection, Description, Keys, Values, Vectors
from tasks.store.index import CACHE_BYTES, Index
from tasks.store.location import Location, default_location
from tasks.store.segment import encode

__all__ = [
    "CACHE_BYTES",
    "DIGEST_BYTES",
    "PIXELS",
    "Collection",
    "Description",
    "Index",
    "Keys",
    "Store",
    "Values",
    "Vectors",
    "open_store",
]

MARKERS = "markers"


class Store:
    """A feature store in a folder or a bucket; may be pickled and shared by threads."""

    def __init__(self, location: str | Path) -> None:
        """Take a local path or a URI such as s3://bucket/folder, which need not exist yet; raises GraftError."""
        self.location = Location(location)

    @property
    def name(self) -> str:
        """The location as messages show it, without credentials."""
        return self.location.name

    def write(self, collection: Collection, description: Description, keys: Keys, values: Values) -> None:
        """Write the rows, [n, width] of the collection's dtype, of n keys as a segment; nothing for n = 0.

        The segment is there whole, or not at all. One that is there already, perhaps damaged, is replaced. Readers load
        whole segments, so 4 to 64 MB are best.

        Raises:
            GraftError: The store cannot be written to.
            ValueError: The arrays do not fit each other or the collection, or are too large for a segment.
        """
        if len(values):
            name, content = encode(collection, description, keys, values)
            self.location.put(collection.id, name, content)

    def index(self, collection: Collection, cache_bytes: int = CACHE_BYTES) -> Index:
        """Return which keys of a collection the store has, none if there is no store yet; raises GraftError.

        The index caches up to `cache_bytes` of the rows that it read last.
        """
        return Index(self.location, collection, cache_bytes)

    def put_marker(self, name: str) -> None:
        """Leave a marker by which another machine recognises this store; raises GraftError.

        Putting it again makes it new: `prune` removes markers that are a day old.
        """
        self.location.put(MARKERS, name, b"")

    def has_marker(self, name: str) -> bool:
        """Tell whether the store has that marker; raises GraftError when the store cannot be reached."""
        return self.location.exists(MARKERS, name)

    def remove_marker(self, name: str) -> None:
        """Remove a marker, if it is there; raises GraftError."""
        self.location.delete(MARKERS, name)


def open_store(location: str | None) -> Store:
    """Return the store at `features.store`, else GRAFT_STORE, else in the user's cache; raises GraftError."""
    return Store(default_location(location))
