"""A segment: some rows of one collection and their keys, in an immutable safetensors file named by its SHA-256.

See README.md for the format and for what readers trust.
"""

import hashlib
import re
from typing import Literal

import numpy as np
import pyarrow as pa
import safetensors.numpy

from tasks.store.collection import DIGEST_BYTES, Collection, Description, Keys, Values, to_json
from tasks.store.header import (
    HEADER_BYTES,
    METADATA,
    SEGMENT_BYTES,
    DamagedError,
    Header,
    Reader,
    parse_header,
    read_header,
)

SUFFIX = ".safetensors"
NAME = re.compile(r"[0-9a-f]{64}\.safetensors")
# Level 1 packs differences of neighbouring pixels as small as level 9 does, in a seventh of the time.
CODEC: Literal["zstd"] = "zstd"
LEVEL = 1


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
    header = parse_header(bytes(data[:HEADER_BYTES]), len(data))
    _check_collection(header, collection)
    if header.is_compressed:
        values = _decompress(data[header.values_start :], header.rows * collection.width)
    else:
        values = np.frombuffer(data, "<f4", header.rows * collection.width, header.values_start)
    return _keys(data, header.keys_start, header.rows), values.reshape(header.rows, collection.width)


def _name(content: bytes | pa.Buffer) -> str:
    return f"{hashlib.sha256(content).hexdigest()}{SUFFIX}"


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
