import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.features.store import segment
from tasks.features.store.collection import Collection, Description, Keys, Vectors, to_json
from tasks.features.store.segment import DamagedError, decode, encode, read_footer, read_keys
from tests.tasks.features.stores import LABEL, SPACE, keys, truth

KEYS = keys(7)
VECTORS = truth(*KEYS)
NAME, CONTENT = encode(SPACE, LABEL, KEYS, VECTORS)
DATA = CONTENT.to_pybytes()
POOL = pa.proxy_memory_pool(pa.default_memory_pool())  # for good: it must outlive what was made from it
FOREIGN, DAMAGED = "it is no segment of a feature store", "it is damaged"


def named(content: bytes) -> str:
    """Return the name that a segment of these bytes has."""
    return f"{hashlib.sha256(content).hexdigest()}.parquet"


def footer_of(content: bytes) -> tuple[Collection, Description]:
    """Return what the footer of a file of these bytes says."""
    return read_footer(pa.BufferReader(content), len(content))[1:]


def refusal(function: Callable[..., Any], *words: Any) -> str:
    """Return the reason for which a file is refused."""
    with pytest.raises(DamagedError) as caught:
        function(*words)
    return str(caught.value)


@given(st.data())
def test_what_is_decoded_is_what_was_encoded_bit_by_bit(data: st.DataObject) -> None:
    count, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    images = data.draw(arrays(np.uint8, (count, 32)))
    views = data.draw(arrays(np.uint16, count))
    bits = data.draw(arrays(np.uint32, (count, width)))  # any bits: NaN of all kinds, -0, infinities, subnormals
    space = SPACE._replace(width=width)
    name, content = encode(space, LABEL, Keys(images, views), bits.view(np.float32))
    found, vectors = decode(name, content, space)
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.views, views)
    np.testing.assert_array_equal(vectors.view(np.uint32), bits)


def test_the_name_is_the_hash_of_the_bytes_and_the_bytes_are_those_of_the_rows() -> None:
    assert named(DATA) == NAME
    assert encode(SPACE, LABEL, KEYS, VECTORS)[1].equals(CONTENT)
    turned = encode(SPACE, LABEL, Keys(KEYS.images[::-1], KEYS.views[::-1]), VECTORS[::-1])
    assert turned[0] != NAME
    np.testing.assert_array_equal(decode(*turned, SPACE)[1], VECTORS[::-1])


def test_a_segment_takes_little_more_than_its_rows() -> None:
    many = keys(1000)
    space = SPACE._replace(width=1024)
    content = encode(space, LABEL, many, np.zeros((1000, 1024), np.float32))[1]
    assert content.size < 1.001 * 1000 * (32 + 2 + 4 * 1024)


def test_keys_and_footer_are_read_without_the_vectors() -> None:
    spoilt = DATA.replace(VECTORS.tobytes(), bytes(VECTORS.nbytes))
    assert spoilt != DATA
    assert footer_of(spoilt) == (SPACE, LABEL)
    found = read_keys(pa.BufferReader(spoilt), len(spoilt), SPACE)
    np.testing.assert_array_equal(found.images, KEYS.images)
    np.testing.assert_array_equal(found.views, KEYS.views)


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (VECTORS[:6], "expected float32 [7, 5], found float32 [6, 5]"),
        (VECTORS[:, :4], "expected float32 [7, 5], found float32 [7, 4]"),
        (VECTORS.ravel(), "expected float32 [7, 5], found float32 [35]"),
        (VECTORS.astype(float), "expected float32 [7, 5], found float64 [7, 5]"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(vectors: Vectors, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        encode(SPACE, LABEL, KEYS, vectors)


def test_more_rows_than_a_segment_may_hold_are_refused_and_so_is_a_larger_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "SEGMENT_BYTES", len(DATA) - 1)
    with pytest.raises(ValueError, match="^7 vectors of 5 numbers are more than a segment may hold$"):
        encode(SPACE, LABEL, KEYS, VECTORS)
    assert refusal(footer_of, DATA) == FOREIGN


def test_one_changed_byte_anywhere_is_found_before_a_vector_is_believed() -> None:
    changes = np.random.default_rng(1).integers(1, 256, len(DATA)).tolist()
    for place, change in enumerate(changes):
        spoilt = bytearray(DATA)
        spoilt[place] ^= change
        assert refusal(decode, NAME, pa.py_buffer(spoilt), SPACE) == "its bytes do not match its name"


def test_one_changed_byte_anywhere_does_no_harm_even_to_who_cannot_check_the_name() -> None:
    """The index is read from files whose bytes are not all looked at, and a hostile writer names its files rightly."""
    ends = set()
    for change in (0x01, 0x80, 0xFF):
        for place in range(len(DATA)):
            spoilt = bytearray(DATA)
            spoilt[place] ^= change
            try:
                found, vectors = decode(named(spoilt), pa.py_buffer(spoilt), SPACE)
            except DamagedError as error:
                ends.add(str(error))
            else:
                assert found.images.shape == (7, 32)
                assert found.views.shape == (7,)
                assert vectors.shape == (7, 5)
    assert ends == {DAMAGED, FOREIGN, "it belongs to another space", "it holds fewer rows than it claims"}


@pytest.mark.parametrize("length", range(0, len(DATA), 7))
def test_a_file_that_is_cut_anywhere_is_refused(length: int) -> None:
    assert refusal(footer_of, DATA[:length]) == (DAMAGED if length else "it is empty")


def parquet(columns: dict[str, Any], metadata: dict[str, str] | None = None, **options: Any) -> bytes:
    """Return a Parquet file of these columns, which says that it is a segment."""
    metadata = {"graft.space": to_json(SPACE), "graft.label": to_json(LABEL)} if metadata is None else metadata
    schema = pa.schema([pa.field(name, column.type, nullable=False) for name, column in columns.items()])
    sink = io.BytesIO()
    options = {"compression": "none", "use_dictionary": False, "store_schema": False} | options
    group = options.pop("row_group_size", None)
    with pq.ParquetWriter(sink, schema, **options) as writer:
        writer.write_table(pa.Table.from_arrays(list(columns.values()), schema=schema), group)
        writer.add_key_value_metadata(metadata)
    return sink.getvalue()


def fixed(rows: np.ndarray) -> pa.Array:
    """Return rows as values of fixed length."""
    return pa.array([row.tobytes() for row in rows], pa.binary(rows[0].nbytes))


COLUMNS = {"vector": fixed(VECTORS), "image": fixed(KEYS.images), "view": pa.array(KEYS.views)}
NARROW = COLUMNS | {"vector": fixed(VECTORS[:, :4])}
LISTS = COLUMNS | {"vector": pa.array(VECTORS.tolist(), pa.list_(pa.float32()))}


def test_a_file_built_like_ours_is_taken() -> None:
    assert footer_of(parquet(COLUMNS)) == (SPACE, LABEL)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b"hello", DAMAGED, id="text"),
        pytest.param(bytes(100_000), DAMAGED, id="zeros"),
        pytest.param(b"PAR1" + b"\xff\xff\xff\x7fPAR1", DAMAGED, id="a footer of 2 GB"),
        pytest.param(b"PAR1" + bytes(30_000) + b"\x30\x75\x00\x00PAR1", DAMAGED, id="a large footer"),
        pytest.param(parquet(COLUMNS, {}), FOREIGN, id="another Parquet file"),
        pytest.param(parquet(COLUMNS, {"graft.space": to_json(SPACE)}), FOREIGN, id="no label"),
        pytest.param(parquet(COLUMNS, {"graft.space": "{", "graft.label": to_json(LABEL)}), FOREIGN, id="no space"),
        pytest.param(parquet(NARROW), FOREIGN, id="a wrong width"),
        pytest.param(parquet(LISTS), FOREIGN, id="lists"),
        pytest.param(parquet(COLUMNS | {"more": pa.array(range(7))}), FOREIGN, id="a column too many"),
        pytest.param(parquet(dict(reversed(COLUMNS.items()))), FOREIGN, id="columns in another order"),
        pytest.param(parquet({name: column[:0] for name, column in COLUMNS.items()}), FOREIGN, id="no rows"),
        pytest.param(parquet(COLUMNS, row_group_size=3), FOREIGN, id="several groups of rows"),
        pytest.param(parquet(COLUMNS, compression="zstd"), FOREIGN, id="compressed"),
        pytest.param(parquet(COLUMNS, use_dictionary=["image"]), FOREIGN, id="a dictionary"),
        pytest.param(
            parquet(COLUMNS, use_byte_stream_split=["vector"]), FOREIGN, id="another encoding"
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_segment_is_refused(content: bytes, told: str) -> None:
    assert refusal(footer_of, content) == told


def test_a_segment_of_another_space_is_refused() -> None:
    other = SPACE._replace(precision="int8")
    assert refusal(decode, NAME, CONTENT, other) == "it belongs to another space"


@contextmanager
def little_memory() -> Iterator[None]:
    """Hold what is done in it to 5 MB of pyarrow's memory."""
    usual = pa.default_memory_pool()
    pa.set_memory_pool(POOL)
    try:
        yield
    finally:
        pa.set_memory_pool(usual)
    assert POOL.max_memory() < 5_000_000


@pytest.mark.parametrize("options", [{"use_dictionary": True}, {"compression": "zstd"}])
def test_a_small_file_that_unfolds_into_much_memory_is_refused_before(options: dict[str, Any]) -> None:
    rows = 1_000_000
    same = {
        name: pa.repeat(pa.scalar(value, kind), rows)
        for name, value, kind in [
            ("vector", bytes(20), pa.binary(20)),
            ("image", bytes(32), pa.binary(32)),
            ("view", 0, pa.uint16()),
        ]
    }
    content = parquet(same, **options)
    assert len(content) < 20_000
    with little_memory():
        assert refusal(footer_of, content) == FOREIGN


def test_a_page_that_claims_to_be_larger_than_the_file_takes_no_memory() -> None:
    wide = SPACE._replace(width=300_000)
    vectors = np.ones((1, wide.width), np.float32)
    content = encode(wide, LABEL, keys(1), vectors)[1].to_pybytes()
    size, claim = (b"\x15" + varint(2 * number) for number in (vectors.nbytes, 134_000_000))
    full, stored = (content.replace(size + size, claimed, 1) for claimed in (claim + size, size + claim))
    assert len({content, full, stored}) == 3
    with little_memory():
        np.testing.assert_array_equal(decode(named(full), pa.py_buffer(full), wide)[1], vectors)
        assert refusal(decode, named(stored), pa.py_buffer(stored), wide) == DAMAGED


def varint(number: int) -> bytes:
    """Return a number as Thrift writes it."""
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([number])
