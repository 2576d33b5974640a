"""The feature store: each vector is computed once, whoever needs it and wherever it was computed.

A folder, or a bucket, with a folder a space and in it immutable segments that are named by their content. Writers need
no locks, since each writes segments of its own; readers trust nothing that they have not held to its name; and whoever
wants may delete any part of it at any time: what is missing is computed again.
"""

from pathlib import Path

from tasks.features.store.collection import Collection, Description, Digests, Keys, Vectors, Views
from tasks.features.store.index import CACHE_BYTES, Index
from tasks.features.store.location import Location
from tasks.features.store.segment import encode


class Store:
    """A feature store at a place; may be pickled and shared by threads."""

    def __init__(self, place: str | Path) -> None:
        """Take a local path or a URI such as s3://bucket/folder, which need not exist yet; raises GraftError."""
        self.place = Location(place)

    def write(self, space: Collection, label: Description, images: Digests, views: Views, vectors: Vectors) -> None:
        """Keep float32 [n, width] vectors of these images' SHA-256, uint8 [n, 32], and views, uint16 [n], as a segment.

        It is there whole, or not at all: GraftError when it cannot be written, ValueError for arrays that do not fit.
        A segment that is there already, perhaps damaged, is put anew. Readers load whole segments, so 4 to 64 MB are
        best.
        """
        if len(vectors):
            name, content = encode(space, label, Keys(images, views), vectors)
            self.place.put(space.id, name, content)

    def index(self, space: Collection, cache_bytes: int = CACHE_BYTES) -> Index:
        """Return what the store has of a space, empty if there is no store yet; raises GraftError.

        It keeps up to `cache_bytes` of the vectors that it read last.
        """
        return Index(self.place, space, cache_bytes)
