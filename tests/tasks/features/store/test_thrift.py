from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.features.store.thrift import read_struct


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"\x00", {}),
        (b"\x15\x02\x00", {1: 1}),
        (b"\x15\x01\x00", {1: -1}),
        (b"\x15\x02\x25\x04\x00", {1: 1, 3: 2}),
        (b"\x05\xd0\x0f\x06\x00", {1000: 3}),
        (b"\x11\x12\x00", {1: True, 2: False}),
        (b"\x13\xff\x00", {1: 255}),
        (b"\x16\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", {1: 2**63 - 1}),
        (b"\x18\x03abc\x15\x02\x00", {1: b"abc", 2: 1}),
        (b"\x19\x25\x02\x04\x00", {1: [1, 2]}),
        (b"\x19\xf5\x10" + 16 * b"\x02" + b"\x00", {1: 16 * [1]}),
        (b"\x19\x1c\x15\x02\x00\x00", {1: [{1: 1}]}),
        (b"\x1c\x15\x02\x00\x15\x04\x00", {1: {1: 1}, 2: 2}),
    ],
)
def test_fields_come_by_their_numbers(data: bytes, fields: dict[int, object]) -> None:
    assert read_struct(data) == fields


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x15",
        b"\x15\xff",
        b"\x17" + bytes(9),
        b"\x1a\x00\x00",
        b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x19\xf5\xff\xff\xff\xff\x0f\x02",
        b"\x1c" * 100_000,
        b"\x19" * 100_000,
        b"\xff" * 100_000,
    ],
)
def test_what_is_no_struct_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        read_struct(data)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_else(data: bytes) -> None:
    with suppress(ValueError, IndexError):
        assert isinstance(read_struct(data), dict)


@given(st.integers(0, 300), st.text(st.characters(codec="utf-8"), max_size=300), st.sampled_from(["none", "snappy"]))
def test_a_real_footer_is_read_as_pyarrow_reads_it(rows: int, text: str, codec: str) -> None:
    sink = pa.BufferOutputStream()
    schema = pa.schema([("number", pa.int64()), ("flag", pa.bool_())], metadata={"text": text})
    table = pa.table([pa.array(range(rows), pa.int64()), pa.array([True] * rows)], schema=schema)
    pq.write_table(table, sink, compression=codec)
    data = sink.getvalue().to_pybytes()
    fields = read_struct(data[-8 - int.from_bytes(data[-8:-4], "little") : -8])
    footer = pq.read_metadata(pa.BufferReader(data))
    assert fields[3] == footer.num_rows
    assert {entry[1]: entry[2] for entry in fields[5]} == footer.metadata
    assert fields[6].decode() == footer.created_by
    for number, column in enumerate(fields[4][0][1] if rows else []):
        expected = footer.row_group(0).column(number)
        assert [name.decode() for name in column[3][3]] == [expected.path_in_schema]
        assert (column[3][4] == 0) == (expected.compression == "UNCOMPRESSED")
        assert column[3][9] == expected.data_page_offset
