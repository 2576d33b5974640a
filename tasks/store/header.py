"""The header of a segment, which is used only if it is one that Graft could have written; see README.md."""

import json
from typing import Any, NamedTuple, Protocol

import numpy as np

from tasks.store.collection import DIGEST_BYTES, Collection, Description, from_json, to_json

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
    """The checked header of a segment; `start` is the position of the first tensor.

    The values, `value_bytes` long, are vectors, behind which the keys follow, or compressed pixels behind the keys.
    """

    collection: Collection
    description: Description
    rows: int
    value_bytes: int
    start: int

    @property
    def keys_start(self) -> int:
        """The position of the keys."""
        return self.start if self.is_compressed else self.start + self.value_bytes

    @property
    def keys_end(self) -> int:
        """The position behind the keys."""
        return self.keys_start + (2 + DIGEST_BYTES) * self.rows

    @property
    def values_start(self) -> int:
        """The position of the values."""
        return self.keys_end if self.is_compressed else self.start

    @property
    def end(self) -> int:
        """The position behind the last byte."""
        return self.keys_end + self.value_bytes if self.is_compressed else self.keys_end

    @property
    def is_compressed(self) -> bool:
        """Whether the values are compressed, as pixels are."""
        return self.collection.dtype == np.uint8


def read_header(file: Reader, size: int) -> Header:
    """Return the header of an open file of `size` bytes, which is read no further; raises DamagedError."""
    file.seek(0)
    return parse_header(file.read(min(size, HEADER_BYTES)), size)


def parse_header(beginning: bytes, size: int) -> Header:
    """Return the header at the beginning of a file of `size` bytes, if `segment.encode` could have written it.

    Only the number of rows, the collection, the description and the length of compressed pixels are taken from the
    header. Everything else, such as dtypes, shapes and offsets, follows from them and must be equal; so must the size
    of the file. Raises DamagedError.
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
        unpacked_bytes = rows * collection.width * collection.dtype.itemsize
        value_bytes = fields["pixels"]["shape"][0] if collection.dtype == np.uint8 else unpacked_bytes
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DamagedError(FOREIGN) from error
    are_numbers = type(rows) is type(value_bytes) is int
    if not are_numbers or min(rows, value_bytes, collection.width) < 1:
        raise DamagedError(FOREIGN)
    header = Header(collection, description, rows, value_bytes, start)
    if fields != _fields(header):
        raise DamagedError(FOREIGN)
    if unpacked_bytes > SEGMENT_BYTES and header.is_compressed:
        message = f"its pixels would take {unpacked_bytes:,} bytes, more than a segment may"
        raise DamagedError(message)
    if header.end != size or size > SEGMENT_BYTES:
        message = f"it has {size:,} bytes, but its header describes {header.end:,}"
        raise DamagedError(message)
    return header


def _fields(header: Header) -> dict[str, Any]:
    """Return the JSON of the header of a segment."""
    rows, views_start = header.rows, header.keys_start - header.start
    images_start = views_start + 2 * rows
    values_start = header.values_start - header.start
    values_span = [values_start, values_start + header.value_bytes]
    if header.is_compressed:
        values = {"pixels": {"dtype": "U8", "shape": [header.value_bytes], "data_offsets": values_span}}
    else:
        shape = [rows, header.collection.width]
        values = {"vector": {"dtype": "F32", "shape": shape, "data_offsets": values_span}}
    return values | {
        "__metadata__": {METADATA: to_json(header.collection, header.description)},
        "view": {"dtype": "U16", "shape": [rows], "data_offsets": [views_start, images_start]},
        "image": {
            "dtype": "U8",
            "shape": [rows, DIGEST_BYTES],
            "data_offsets": [images_start, images_start + DIGEST_BYTES * rows],
        },
    }
