"""One segment of the feature store: some rows of one space as a Parquet file that cannot be misread.

On two cores, 4,096 pooled vectors of 1,024 numbers (36 % of them 0) and 256 maps of 50,176 (69 %) gave, as part of
their size and in MB/s written and read:

                        pooled               maps
    list, plain         1.01   645  1,381    1.00   679  1,336
    list, split, zstd 1 0.67   329    750    0.42   225    600
    bytes, plain        1.01 1,560  6,505    1.00 1,628  6,390
    bytes, LZ4          0.82   427  2,120    0.46   450  1,884
    bytes, zstd 1       0.71   318    797    0.37   338    875

So a vector is one value of fixed length (its float32 numbers, little-endian) and not a list, and nothing is compressed:
it would save a fifth of what is usual at a quarter of the speed. A plain file also cannot unfold into more memory than
its own size, whoever wrote it.
"""

import hashlib
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.features.store.collection import DIGEST_BYTES, Collection, Description, Keys, Vectors, from_json, to_json
from tasks.features.store.thrift import read_struct

SEGMENT_BYTES = 1 << 29
FOLDER = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"([0-9a-f]{64})\.parquet")
# One read of the end of a file brings its footer: ours take about 1,000 bytes, a larger one is not ours.
FOOTER_BYTES = 1 << 14
SPACE, LABEL = "graft.space", "graft.label"
UNREADABLE = (OSError, ValueError, LookupError, TypeError, pa.ArrowException)
# The numbers of fields and codecs in parquet.thrift.
ROW_GROUPS, COLUMNS, META_DATA, CODEC = 4, 1, 3, 4
PLAIN = 0


class DamagedError(Exception):
    """A file that is no whole and right segment of its space; the text is the reason."""


def encode(space: Collection, label: Description, keys: Keys, vectors: Vectors) -> tuple[str, pa.Buffer]:
    """Return the file name and the bytes of a segment of these rows, float32 [n, width], n >= 1.

    The bytes are a function of the arguments and of pyarrow's version. Raises ValueError for arrays that do not fit.
    """
    keys.check()
    if vectors.shape != (len(keys.views), space.width) or vectors.dtype != np.float32:
        message = f"expected float32 [{len(keys.views)}, {space.width}], found {vectors.dtype} {list(vectors.shape)}"
        raise ValueError(message)
    columns = [_fixed(vectors.astype("<f4", copy=False)), _fixed(keys.images), pa.array(keys.views, pa.uint16())]
    schema = _schema(space.width)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=len(vectors))
        writer.add_key_value_metadata({SPACE: to_json(space), LABEL: to_json(label)})
    content = sink.getvalue()
    if content.size > SEGMENT_BYTES:
        message = f"{len(vectors):,} vectors of {space.width:,} numbers are more than a segment may hold"
        raise ValueError(message)
    return f"{hashlib.sha256(content).hexdigest()}.parquet", content


def read_footer(file: pa.NativeFile, size: int) -> tuple[pq.FileMetaData, Collection, Description]:
    """Return what the end of an open file of `size` bytes says, held to what a segment may say; raises DamagedError.

    Nothing is read or allocated that is larger than the file.
    """
    if not size:
        message = "it is empty"
        raise DamagedError(message)
    try:
        tail = min(size, FOOTER_BYTES)
        file.seek(size - tail)
        end = file.read_buffer(tail)
        codecs = _codecs(end.to_pybytes())
        footer = pq.read_metadata(pa.BufferReader(end))
        metadata = footer.metadata or {}
        space = from_json(Collection, metadata.get(SPACE.encode()))
        label = from_json(Description, metadata.get(LABEL.encode()))
        if space is None or label is None or codecs != {PLAIN} or not _regular(footer, space.width, size):
            message = "it is no segment of a feature store"
            raise DamagedError(message)
    except UNREADABLE as error:
        message = "it is damaged"
        raise DamagedError(message) from error
    return footer, space, label


def read_keys(file: pa.NativeFile, size: int, space: Collection) -> Keys:
    """Return the keys of an open segment of `size` bytes without reading its vectors; raises DamagedError."""
    footer, found, _ = read_footer(file, size)
    if found != space:
        message = "it belongs to another space"
        raise DamagedError(message)
    # The checksums find most damage early; `decode` finds all of it.
    table = _read(file, footer, ["image", "view"], verify=True)
    return Keys(_values(table["image"], "u1", DIGEST_BYTES), _values(table["view"], "<u2", 1).ravel())


def decode(name: str, content: pa.Buffer, space: Collection) -> tuple[Keys, Vectors]:
    """Return keys and vectors, float32 [n, width], of a whole segment; raises DamagedError if a bit is not as written.

    Checksums of pages would not do: the headers of pages and the footer have none, and one bit flipped there reads the
    same page in another encoding.
    """
    if f"{hashlib.sha256(content).hexdigest()}.parquet" != name:
        message = "its bytes do not match its name"
        raise DamagedError(message)
    file = pa.BufferReader(content)
    keys = read_keys(file, content.size, space)
    table = _read(file, pq.read_metadata(file), ["vector"], verify=False)
    return keys, _values(table["vector"], "<f4", space.width)


def _schema(width: int) -> pa.Schema:
    # The keys come last: they and the footer are one stretch of a file for whoever reads an index over a network.
    types = {"vector": pa.binary(4 * width), "image": pa.binary(DIGEST_BYTES), "view": pa.uint16()}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])


def _codecs(end: bytes) -> set[int]:
    """Return the numbers of the codecs that the footer at this end of a file names; raises UNREADABLE."""
    footer = read_struct(end[-8 - int.from_bytes(end[-8:-4], "little") : -8])
    return {column[META_DATA][CODEC] for group in footer[ROW_GROUPS] for column in group[COLUMNS]}


def _regular(footer: pq.FileMetaData, width: int, size: int) -> bool:
    """Tell whether a file of `size` bytes with this footer is built as `encode` builds, and can hold what it claims."""
    if not (
        footer.num_row_groups == 1
        and footer.num_columns == len(Keys._fields) + 1
        and width > 0 < footer.num_rows
        and footer.num_rows * (4 * width + DIGEST_BYTES) <= size <= SEGMENT_BYTES
    ):
        return False
    group = footer.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    return footer.schema.to_arrow_schema().equals(_schema(width)) and all(
        set(column.encodings) <= {"PLAIN", "RLE"}
        and not column.has_dictionary_page
        and column.num_values == footer.num_rows
        and 0 <= column.data_page_offset <= size
        and 0 <= column.total_compressed_size <= size
        for column in columns
    )


def _read(file: pa.NativeFile, footer: pq.FileMetaData, columns: list[str], *, verify: bool) -> pa.Table:
    try:
        parquet = pq.ParquetFile(file, metadata=footer, pre_buffer=True, page_checksum_verification=verify)
        table = parquet.read(columns, use_threads=False)
    except UNREADABLE as error:
        message = "it is damaged"
        raise DamagedError(message) from error
    if table.num_rows != footer.num_rows:
        message = "it holds fewer rows than it claims"
        raise DamagedError(message)
    return table


def _fixed(values: npt.NDArray[Any]) -> "pa.Array[Any]":
    """Return the rows of an array [n, m] as values of fixed length."""
    rows: Any = np.ascontiguousarray(values)
    kind = pa.binary(rows.itemsize * rows.shape[1])
    return pa.Array.from_buffers(kind, len(rows), [None, pa.py_buffer(rows)])


def _values(column: Any, kind: str, width: int) -> npt.NDArray[Any]:
    """Return a column without nulls as an array [n, width] of that type, without copying."""
    array = column.chunk(0)  # a row group of less than 2 GB is one chunk
    values = np.frombuffer(array.buffers()[1], kind)[array.offset * width :][: len(array) * width]
    return values.reshape(-1, width)
