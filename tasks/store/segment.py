"""A segment: some vectors of one collection and their keys, in an immutable safetensors file named by its SHA-256.

See README.md for the format and for what readers trust.
"""

import hashlib
import json
import re
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import safetensors.numpy

from tasks.store.collection import DIGEST_BYTES, Collection, Description, Keys, Vectors, from_json, to_json

SUFFIX = ".safetensors"
NAME = re.compile(r"[0-9a-f]{64}\.safetensors")
SEGMENT_BYTES = 1 << 29
# One read brings the header, whose length is not known before: ours take less than 1,000 bytes.
HEADER_BYTES = 1 << 14
LENGTH_BYTES = 8
METADATA = "graft"
FOREIGN = "it is no segment of a feature store"


class DamagedError(Exception):
    """A file that is no valid segment of its collection; the text is the reason."""


class Reader(Protocol):
    """An open file whose bytes can be read from any position."""

    def seek(self, position: int, /) -> int:
        """Go to a position."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes from the current position."""


class Header(NamedTuple):
    """The checked header of a segment; `start` is the position of the vectors, behind which views and images follow."""

    collection: Collection
    description: Description
    rows: int
    start: int

    @property
    def keys_start(self) -> int:
        """The position of the keys."""
        return self.start + 4 * self.rows * self.collection.width

    @property
    def end(self) -> int:
        """The position behind the last byte."""
        return self.keys_start + (2 + DIGEST_BYTES) * self.rows


def encode(collection: Collection, description: Description, keys: Keys, vectors: Vectors) -> tuple[str, bytes]:
    """Return the file name and the bytes of a segment of these vectors, float32 [n, width], n >= 1.

    The bytes are a function of the arguments alone.

    Raises:
        ValueError: The arrays do not fit each other or the collection, or are too large.
    """
    keys.check()
    rows, width = len(keys.views), collection.width
    if vectors.shape != (rows, width) or vectors.dtype != np.float32:
        message = f"expected float32 [{rows}, {width}], found {vectors.dtype} {list(vectors.shape)}"
        raise ValueError(message)
    data_bytes = rows * (4 * width + 2 + DIGEST_BYTES)
    if data_bytes > SEGMENT_BYTES - HEADER_BYTES:
        message = f"{rows:,} vectors of {width:,} numbers are more than a segment may hold"
        raise ValueError(message)
    # The library wants dense arrays. It orders tensors by dtype, the largest first, and metadata at random: one entry
    # keeps the bytes the same in every process.
    arrays = {"vector": vectors, "view": keys.views, "image": keys.images}
    content = safetensors.numpy.save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        {METADATA: to_json(collection, description)},
    )
    if len(content) - data_bytes > HEADER_BYTES:
        message = f"the names of the backbone and the tap take more than the {HEADER_BYTES:,} bytes of a header"
        raise ValueError(message)
    return _name(content), content


def read_header(file: Reader, size: int) -> Header:
    """Return the header of an open file of `size` bytes, which is read no further; raises DamagedError."""
    file.seek(0)
    return _parse_header(file.read(min(size, HEADER_BYTES)), size)


def read_keys(file: Reader, size: int, collection: Collection) -> Keys:
    """Return the keys of an open segment of `size` bytes without reading its vectors; raises DamagedError."""
    header = read_header(file, size)
    _check_collection(header, collection)
    file.seek(header.keys_start)
    content = file.read(header.end - header.keys_start)
    if len(content) != header.end - header.keys_start:
        message = "it became shorter while it was read"
        raise DamagedError(message)
    return _keys(content, 0, header.rows)


def decode(name: str, content: bytes | pa.Buffer, collection: Collection) -> tuple[Keys, Vectors]:
    """Return the keys and the vectors, float32 [n, width], of a whole segment, without a copy of its bytes.

    Raises:
        DamagedError: A bit is not as it was written, or the segment belongs to another collection.
    """
    if _name(content) != name:
        message = "its bytes do not match its name"
        raise DamagedError(message)
    data = memoryview(content)
    header = _parse_header(bytes(data[:HEADER_BYTES]), len(data))
    _check_collection(header, collection)
    vectors = np.frombuffer(data, "<f4", header.rows * collection.width, header.start)
    return _keys(data, header.keys_start, header.rows), vectors.reshape(header.rows, collection.width)


def _name(content: bytes | pa.Buffer) -> str:
    return f"{hashlib.sha256(content).hexdigest()}{SUFFIX}"


def _parse_header(beginning: bytes, size: int) -> Header:
    """Return the header at the beginning of a file of `size` bytes, if it is one that `encode` could have written.

    Only the number of vectors, the collection and the description are taken from the header. Everything else, such as
    dtypes, shapes and offsets, follows from them and must be equal; so must the size of the file. Raises DamagedError.
    """
    if not size:
        message = "it is empty"
        raise DamagedError(message)
    length = int.from_bytes(beginning[:LENGTH_BYTES], "little")
    start = LENGTH_BYTES + length
    try:
        if start > len(beginning) or start % LENGTH_BYTES:  # the vectors are aligned
            raise DamagedError(FOREIGN)
        fields = json.loads(beginning[LENGTH_BYTES:start].decode())
        rows = fields["view"]["shape"][0]
        collection, description = from_json(fields["__metadata__"][METADATA])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DamagedError(FOREIGN) from error
    if type(rows) is not int or rows < 1 or collection.width < 1 or fields != _fields(collection, description, rows):
        raise DamagedError(FOREIGN)
    header = Header(collection, description, rows, start)
    if header.end != size or size > SEGMENT_BYTES:
        message = f"it has {size:,} bytes, but its header describes {header.end:,}"
        raise DamagedError(message)
    return header


def _fields(collection: Collection, description: Description, rows: int) -> dict[str, Any]:
    """Return what the JSON of a segment's header holds."""
    vectors_end = 4 * rows * collection.width
    views_end = vectors_end + 2 * rows
    images_end = views_end + DIGEST_BYTES * rows
    return {
        "__metadata__": {METADATA: to_json(collection, description)},
        "vector": {"dtype": "F32", "shape": [rows, collection.width], "data_offsets": [0, vectors_end]},
        "view": {"dtype": "U16", "shape": [rows], "data_offsets": [vectors_end, views_end]},
        "image": {"dtype": "U8", "shape": [rows, DIGEST_BYTES], "data_offsets": [views_end, images_end]},
    }


def _check_collection(header: Header, collection: Collection) -> None:
    if header.collection != collection:
        message = "it belongs to another collection"
        raise DamagedError(message)


def _keys(content: bytes | memoryview, start: int, rows: int) -> Keys:
    """Return the keys that lie at a position of these bytes, without a copy."""
    views = np.frombuffer(content, "<u2", rows, start)
    images = np.frombuffer(content, np.uint8, DIGEST_BYTES * rows, start + 2 * rows)
    return Keys(images.reshape(rows, DIGEST_BYTES), views)
