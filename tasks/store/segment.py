"""A segment: some rows of one collection and their keys, in an immutable safetensors file named by its SHA-256.

See README.md for the format and for what readers trust.
"""

import hashlib
import json
import re
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import safetensors.numpy

from tasks.store.collection import DIGEST_BYTES, Collection, Description, Keys, Values, from_json, to_json

SUFFIX = ".safetensors"
NAME = re.compile(r"[0-9a-f]{64}\.safetensors")
SEGMENT_BYTES = 1 << 29
# One read brings the header, whose length is not known before: ours take less than 1,000 bytes.
HEADER_BYTES = 1 << 14
LENGTH_BYTES = 8
METADATA = "graft"
# Level 1 packs differences of neighbouring pixels as small as level 9 does, in a seventh of the time.
CODEC: Literal["zstd"] = "zstd"
LEVEL = 1
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


def encode(collection: Collection, description: Description, keys: Keys, values: Values) -> tuple[str, bytes]:
    """Return the file name and the bytes of a segment of these rows, [n, width] of the collection's dtype, n >= 1.

    The bytes are a function of the arguments alone, and of the version of zstd if the rows are pixels.

    Raises:
        ValueError: The arrays do not fit each other or the collection, or are too large.
    """
    keys.check()
    rows, width = len(keys.views), collection.width
    if values.shape != (rows, width) or values.dtype != collection.dtype:
        message = f"expected {collection.dtype} [{rows}, {width}], found {values.dtype} {list(values.shape)}"
        raise ValueError(message)
    if rows * (collection.dtype.itemsize * width + 2 + DIGEST_BYTES) > SEGMENT_BYTES - HEADER_BYTES:
        message = f"{rows:,} vectors of {width:,} numbers are more than a segment may hold"
        raise ValueError(message)
    # The library wants dense arrays. It orders tensors by dtype, the largest first, and metadata at random: one entry
    # keeps the bytes the same in every process.
    arrays: dict[str, Values] = {"view": keys.views, "image": keys.images}
    if collection.dtype == np.uint8:
        packed = pa.Codec(CODEC, LEVEL).compress(values.tobytes(), asbytes=True)
        arrays["pixels"] = np.frombuffer(packed, np.uint8)
    else:
        arrays["vector"] = values
    content = safetensors.numpy.save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        {METADATA: to_json(collection, description)},
    )
    if len(content) - sum(array.nbytes for array in arrays.values()) > HEADER_BYTES:
        message = f"the names of the backbone and the tap take more than the {HEADER_BYTES:,} bytes of a header"
        raise ValueError(message)
    return _name(content), content


def read_header(file: Reader, size: int) -> Header:
    """Return the header of an open file of `size` bytes, which is read no further; raises DamagedError."""
    file.seek(0)
    return _parse_header(file.read(min(size, HEADER_BYTES)), size)


def read_keys(file: Reader, size: int, collection: Collection) -> Keys:
    """Return the keys of an open segment of `size` bytes without reading its values; raises DamagedError."""
    header = read_header(file, size)
    _check_collection(header, collection)
    file.seek(header.keys_start)
    content = file.read(header.keys_end - header.keys_start)
    if len(content) != header.keys_end - header.keys_start:
        message = "it became shorter while it was read"
        raise DamagedError(message)
    return _keys(content, 0, header.rows)


def decode(name: str, content: bytes | pa.Buffer, collection: Collection) -> tuple[Keys, Values]:
    """Return the keys and the rows, [n, width] of the collection's dtype, of a whole segment; vectors are not copied.

    Raises:
        DamagedError: A bit is not as it was written, or the segment belongs to another collection.
    """
    if _name(content) != name:
        message = "its bytes do not match its name"
        raise DamagedError(message)
    data = memoryview(content)
    header = _parse_header(bytes(data[:HEADER_BYTES]), len(data))
    _check_collection(header, collection)
    if header.is_compressed:
        values = _decompress(data[header.values_start :], header.rows * collection.width)
    else:
        values = np.frombuffer(data, "<f4", header.rows * collection.width, header.values_start)
    return _keys(data, header.keys_start, header.rows), values.reshape(header.rows, collection.width)


def _name(content: bytes | pa.Buffer) -> str:
    return f"{hashlib.sha256(content).hexdigest()}{SUFFIX}"


def _parse_header(beginning: bytes, size: int) -> Header:
    """Return the header at the beginning of a file of `size` bytes, if it is one that `encode` could have written.

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
    """Return what the JSON of a segment's header holds."""
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


def _decompress(content: memoryview, size: int) -> Values:
    """Return compressed pixels, uint8 [size], of a trusted size; raises DamagedError if they have another one."""
    try:
        return np.frombuffer(memoryview(pa.decompress(pa.py_buffer(content), size, CODEC)), np.uint8)
    except OSError as error:
        message = f"its pixels do not unfold to {size:,} bytes"
        raise DamagedError(message) from error


def _check_collection(header: Header, collection: Collection) -> None:
    if header.collection != collection:
        message = "it belongs to another collection"
        raise DamagedError(message)


def _keys(content: bytes | memoryview, start: int, rows: int) -> Keys:
    """Return the keys that lie at a position of these bytes, without a copy."""
    views = np.frombuffer(content, "<u2", rows, start)
    images = np.frombuffer(content, np.uint8, DIGEST_BYTES * rows, start + 2 * rows)
    return Keys(images.reshape(rows, DIGEST_BYTES), views)
