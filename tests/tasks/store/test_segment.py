import hashlib
import io
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.store import Keys
from tasks.store.collection import Collection, Description, to_json
from tasks.store.header import HEADER_BYTES, DamagedError, read_header
from tasks.store.segment import decode, encode, read_keys
from tests.tasks.store.helpers import COLLECTION, DESCRIPTION, make_keys, segment, vectors_of

KEYS = make_keys(7)
VECTORS = vectors_of(KEYS)
NAME, CONTENT = segment(KEYS)
START = 8 + int.from_bytes(CONTENT[:8], "little")
HEADER: dict[str, Any] = json.loads(CONTENT[8:START])
DATA = CONTENT[START:]
FOREIGN = "it is no segment of a feature store"
PIXELS = COLLECTION._replace(precision="uint8", width=48)
PIXEL_ROWS = np.random.default_rng(2).integers(0, 4, (len(KEYS.views), PIXELS.width), np.uint8)
PIXEL_NAME, PIXEL_CONTENT = encode(PIXELS, DESCRIPTION, KEYS, PIXEL_ROWS)
OTHER_COLLECTION = "it belongs to another collection"


def named(content: bytes) -> str:
    """Return the name of a segment of these bytes."""
    return f"{hashlib.sha256(content).hexdigest()}.safetensors"


def described(content: bytes) -> tuple[Collection, Description]:
    """Return what the header of a file of these bytes describes."""
    return read_header(io.BytesIO(content), len(content))[:2]


def refusal(function: Callable[..., Any], *arguments: Any) -> str:
    """Return the reason for which a file is refused."""
    with pytest.raises(DamagedError) as caught:
        function(*arguments)
    return str(caught.value)


def with_header(header: object, data: bytes = DATA) -> bytes:
    """Return a safetensors file with this header, as JSON or raw bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def with_field(*path: Any) -> bytes:
    """Return the file with one field of its header, at the path before the last argument, set to the last argument."""
    header = json.loads(json.dumps(HEADER))
    *parents, name, value = path
    target = header
    for parent in parents:
        target = target[parent]
    target[name] = value
    return with_header(header)


@given(st.data())
def test_decoded_arrays_are_those_that_were_encoded_bit_by_bit(data: st.DataObject) -> None:
    count, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    images = data.draw(arrays(np.uint8, (count, 32)))
    views = data.draw(arrays(np.uint16, count))
    bits = data.draw(arrays(np.uint32, (count, width)))  # any bits: NaN of all kinds, -0, infinities, subnormals
    collection = COLLECTION._replace(width=width)
    name, content = encode(collection, DESCRIPTION, Keys(images, views), bits.view(np.float32))
    keys, vectors = decode(name, content, collection)
    np.testing.assert_array_equal(keys.images, images)
    np.testing.assert_array_equal(keys.views, views)
    np.testing.assert_array_equal(vectors.view(np.uint32), bits)


def test_the_name_is_the_hash_of_the_bytes_and_the_order_of_rows_counts() -> None:
    assert named(CONTENT) == NAME
    name, content = encode(COLLECTION, DESCRIPTION, KEYS.take(slice(None, None, -1)), VECTORS[::-1])
    assert name != NAME
    np.testing.assert_array_equal(decode(name, content, COLLECTION)[1], VECTORS[::-1])


def test_arrays_in_any_layout_give_the_same_bytes() -> None:
    images = np.asfortranarray(KEYS.images)
    views = np.repeat(KEYS.views, 2)[::2]
    assert encode(COLLECTION, DESCRIPTION, Keys(images, views), np.asfortranarray(VECTORS)) == (NAME, CONTENT)


def test_the_safetensors_library_reads_a_segment() -> None:
    tensors = safetensors.numpy.load(CONTENT)
    assert tensors.keys() == {"vector", "image", "view"}
    np.testing.assert_array_equal(tensors["vector"], VECTORS)
    np.testing.assert_array_equal(tensors["image"], KEYS.images)
    np.testing.assert_array_equal(tensors["view"], KEYS.views)


def test_a_segment_takes_little_more_than_its_rows() -> None:
    collection = COLLECTION._replace(width=1024)
    content = encode(collection, DESCRIPTION, make_keys(1000), np.zeros((1000, 1024), np.float32))[1]
    assert len(content) < 1.001 * 1000 * (32 + 2 + 4 * 1024)


def test_header_and_keys_are_read_without_the_vectors() -> None:
    collection = COLLECTION._replace(width=100_000)
    _, content = segment(KEYS, collection)
    sizes: list[int] = []

    class File(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            block = super().read(size)
            sizes.append(len(block))
            return block

    keys = read_keys(File(content), len(content), collection)
    np.testing.assert_array_equal(keys.images, KEYS.images)
    np.testing.assert_array_equal(keys.views, KEYS.views)
    assert sum(sizes) <= HEADER_BYTES + 7 * 34
    assert described(content) == (collection, DESCRIPTION)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        pytest.param(VECTORS[:6], "expected float32 [7, 5], found float32 [6, 5]", id="too few"),
        pytest.param(VECTORS[:, :4], "expected float32 [7, 5], found float32 [7, 4]", id="too narrow"),
        pytest.param(VECTORS.ravel(), "expected float32 [7, 5], found float32 [35]", id="flat"),
        pytest.param(VECTORS.astype(float), "expected float32 [7, 5], found float64 [7, 5]", id="float64"),
        pytest.param(VECTORS.astype(">f4"), "expected float32 [7, 5], found >f4 [7, 5]", id="big-endian"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(vectors: npt.NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        encode(COLLECTION, DESCRIPTION, KEYS, vectors)


def test_a_segment_that_readers_would_not_take_is_not_written() -> None:
    wide = COLLECTION._replace(width=1 << 27)
    vectors = np.broadcast_to(np.zeros(1, np.float32), (1, wide.width))
    with pytest.raises(ValueError, match="^1 vectors of 134,217,728 numbers are more than a segment may hold$"):
        encode(wide, DESCRIPTION, make_keys(1), vectors)
    with pytest.raises(ValueError, match="take more than the 16,384 bytes of a header$"):
        encode(COLLECTION, Description("x" * HEADER_BYTES, ""), KEYS, VECTORS)


def test_one_changed_byte_anywhere_is_found_before_a_vector_is_believed() -> None:
    changes = np.random.default_rng(1).integers(1, 256, len(CONTENT)).tolist()
    for position, change in enumerate(changes):
        changed = bytearray(CONTENT)
        changed[position] ^= change
        assert refusal(decode, NAME, bytes(changed), COLLECTION) == "its bytes do not match its name"


def test_one_changed_byte_anywhere_does_no_harm_even_under_the_right_name() -> None:
    """An index reads files whose bytes are not all hashed, and a hostile writer names its files rightly."""
    reasons = set()
    for change in (0x01, 0x80, 0xFF):
        for position in range(len(CONTENT)):
            changed = bytearray(CONTENT)
            changed[position] ^= change
            content = bytes(changed)
            try:
                keys, vectors = decode(named(content), content, COLLECTION)
            except DamagedError as error:
                reasons.add(str(error))
            else:
                assert keys.images.shape == (7, 32)
                assert keys.views.shape == (7,)
                assert vectors.shape == (7, 5)
    assert reasons == {FOREIGN, OTHER_COLLECTION}


def test_a_file_that_is_cut_anywhere_or_has_more_bytes_is_refused() -> None:
    assert refusal(described, b"") == "it is empty"
    for length in range(1, START):
        assert refusal(described, CONTENT[:length]) == FOREIGN
    for length in [*range(START, len(CONTENT)), len(CONTENT) + 1]:
        content = (CONTENT + b"\0")[:length]
        assert refusal(described, content) == f"it has {length:,} bytes, but its header describes {len(CONTENT):,}"


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused() -> None:
    for length in range(START, len(CONTENT)):
        file = io.BytesIO(CONTENT[:length])
        assert refusal(read_keys, file, len(CONTENT), COLLECTION) == "it became shorter while it was read"


def test_a_file_built_by_hand_is_taken() -> None:
    assert described(with_header(HEADER)) == (COLLECTION, DESCRIPTION)
    assert described(with_header(dict(reversed(HEADER.items())))) == (COLLECTION, DESCRIPTION)


NARROW = to_json(COLLECTION._replace(width=4), DESCRIPTION)
FLAT = to_json(COLLECTION._replace(width=0), DESCRIPTION)
NEGATIVE = to_json(COLLECTION._replace(width=-8), DESCRIPTION)
BACKWARDS = {
    "__metadata__": {"graft": NEGATIVE},
    "vector": {"dtype": "F32", "shape": [7, -8], "data_offsets": [0, -224]},
    "view": {"dtype": "U16", "shape": [7], "data_offsets": [-224, -210]},
    "image": {"dtype": "U8", "shape": [7, 32], "data_offsets": [-210, 14]},
}
NO_WIDTH = {
    "__metadata__": {"graft": FLAT},
    "vector": {"dtype": "F32", "shape": [7, 0], "data_offsets": [0, 0]},
    "view": {"dtype": "U16", "shape": [7], "data_offsets": [0, 14]},
    "image": {"dtype": "U8", "shape": [7, 32], "data_offsets": [14, 238]},
}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"hello", id="text"),
        pytest.param(b"<html>" * 10_000, id="a web page"),
        pytest.param(bytes(100_000), id="zeros"),
        pytest.param(b"\xff" * 100_000, id="ones"),
        pytest.param(b"PAR1" + bytes(30_000) + b"PAR1", id="another format"),
        pytest.param((1 << 62).to_bytes(8, "little") + CONTENT[8:], id="an endless header"),
        pytest.param(with_header(json.dumps(HEADER).encode() + b" " * HEADER_BYTES), id="a long header"),
        pytest.param((START - 7).to_bytes(8, "little") + CONTENT[8:START] + b" " + DATA, id="unaligned vectors"),
        pytest.param(with_header(b""), id="no header"),
        pytest.param(with_header(b"\xff\xfe"), id="no UTF-8"),
        pytest.param(with_header(b"[" * 16_000), id="nested lists"),
        pytest.param(with_header(b'{"a":' * 3_000), id="nested objects"),
        pytest.param(with_header(b"9" * 10_000), id="a number of 10,000 digits"),
        pytest.param(with_header(None), id="null"),
        pytest.param(with_header([]), id="a list"),
        pytest.param(with_header({}), id="no tensors"),
        pytest.param(safetensors.numpy.save({"vector": VECTORS}), id="another safetensors file"),
        pytest.param(with_field("__metadata__", {}), id="no metadata"),
        pytest.param(with_field("__metadata__", "more", ""), id="an entry of metadata too many"),
        pytest.param(with_field("__metadata__", "graft", "{"), id="no collection"),
        pytest.param(with_field("__metadata__", "graft", 1), id="a number for the collection"),
        pytest.param(with_field("__metadata__", "graft", NARROW), id="a width that does not match the vectors"),
        pytest.param(with_field("more", HEADER["view"]), id="a tensor too many"),
        pytest.param(with_field("image", None), id="no images"),
        pytest.param(with_field("vector", "dtype", "I32"), id="another dtype"),
        pytest.param(with_field("vector", "shape", [5, 7]), id="another shape of vectors"),
        pytest.param(with_field("view", "shape", [0]), id="no rows"),
        pytest.param(with_field("view", "shape", [-7]), id="rows below zero"),
        pytest.param(with_field("view", "shape", [7.0]), id="a fraction of rows"),
        pytest.param(with_field("view", "shape", [10**18]), id="rows beyond any memory"),
        pytest.param(with_field("view", "shape", []), id="no shape"),
        pytest.param(with_field("view", "shape", {"0": 7}), id="an object for a shape"),
        pytest.param(with_field("view", "data_offsets", [0, 14]), id="tensors that overlap"),
        pytest.param(with_field("image", "data_offsets", [10**18, 10**18 + 224]), id="an offset beyond the file"),
        pytest.param(with_header(NO_WIDTH, bytes(238)), id="vectors of no numbers"),
        pytest.param(with_header(BACKWARDS, bytes(14)), id="a width below zero"),
    ],
)
def test_a_file_that_is_no_segment_is_refused(content: bytes) -> None:
    assert refusal(described, content) == FOREIGN
    assert refusal(decode, named(content), content, COLLECTION) == FOREIGN


def test_a_header_that_describes_more_than_the_file_takes_no_memory() -> None:
    rows = 10**15
    header = {
        "__metadata__": HEADER["__metadata__"],
        "vector": {"dtype": "F32", "shape": [rows, 5], "data_offsets": [0, 20 * rows]},
        "view": {"dtype": "U16", "shape": [rows], "data_offsets": [20 * rows, 22 * rows]},
        "image": {"dtype": "U8", "shape": [rows, 32], "data_offsets": [22 * rows, 54 * rows]},
    }
    content = with_header(header)
    end = len(content) - len(DATA) + 54 * rows
    assert refusal(described, content) == f"it has {len(content):,} bytes, but its header describes {end:,}"
    assert refusal(described, content[:8] + content[8:]) == refusal(decode, named(content), content, COLLECTION)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=9), values, max_size=3),
    max_leaves=9,
)
FIELDS = [
    (name, *path)
    for name in ("vector", "view", "image")
    for path in ((), ("dtype",), ("shape",), ("shape", 0), ("data_offsets",), ("data_offsets", 0), ("data_offsets", 1))
] + [("__metadata__",), ("__metadata__", "graft")]


@given(st.sampled_from(FIELDS), JSON)
def test_a_header_with_any_value_in_any_field_is_refused_or_says_the_same(path: tuple[Any, ...], value: Any) -> None:
    content = with_field(*path, value)
    try:
        header = read_header(io.BytesIO(content), len(content))
    except DamagedError as error:
        assert str(error) == FOREIGN  # noqa: PT017  either outcome is right
    else:
        assert header[:3] == (COLLECTION, DESCRIPTION, 7)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(with_header))
def test_no_bytes_raise_another_error(content: bytes) -> None:
    assert refusal(described, content) in {FOREIGN, "it is empty"}


def test_a_segment_of_another_collection_is_refused() -> None:
    other = COLLECTION._replace(precision="int8")
    assert refusal(decode, NAME, CONTENT, other) == OTHER_COLLECTION
    assert refusal(read_keys, io.BytesIO(CONTENT), len(CONTENT), other) == OTHER_COLLECTION


@given(st.data())
def test_decoded_pixels_are_those_that_were_encoded(data: st.DataObject) -> None:
    count, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    collection = PIXELS._replace(width=width)
    pixels = data.draw(arrays(np.uint8, (count, width)))
    keys, decoded = decode(*encode(collection, DESCRIPTION, make_keys(count), pixels), collection)
    np.testing.assert_array_equal(keys.images, make_keys(count).images)
    np.testing.assert_array_equal(keys.views, make_keys(count).views)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels)


def test_pixels_are_compressed_in_a_file_that_the_safetensors_library_reads() -> None:
    tensors = safetensors.numpy.load(PIXEL_CONTENT)
    assert tensors.keys() == {"pixels", "image", "view"}
    assert tensors["pixels"].nbytes < PIXEL_ROWS.nbytes / 2
    np.testing.assert_array_equal(tensors["image"], KEYS.images)
    np.testing.assert_array_equal(tensors["view"], KEYS.views)


def test_keys_of_pixels_are_read_without_the_pixels() -> None:
    keys = read_keys(io.BytesIO(PIXEL_CONTENT), len(PIXEL_CONTENT), PIXELS)
    np.testing.assert_array_equal(keys.images, KEYS.images)
    np.testing.assert_array_equal(keys.views, KEYS.views)


@pytest.mark.parametrize(
    ("collection", "rows", "message"),
    [
        pytest.param(PIXELS, VECTORS, "expected uint8 [7, 48], found float32 [7, 5]", id="vectors for pixels"),
        pytest.param(COLLECTION, PIXEL_ROWS, "expected float32 [7, 5], found uint8 [7, 48]", id="pixels for vectors"),
    ],
)
def test_rows_of_the_other_kind_are_refused(collection: Collection, rows: npt.NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        encode(collection, DESCRIPTION, KEYS, rows)


def test_one_changed_byte_anywhere_in_pixels_does_no_harm_even_under_the_right_name() -> None:
    reasons = set()
    for position in range(len(PIXEL_CONTENT)):
        changed = bytearray(PIXEL_CONTENT)
        changed[position] ^= 0xFF
        content = bytes(changed)
        try:
            keys, pixels = decode(named(content), content, PIXELS)
        except DamagedError as error:
            reasons.add(str(error))
        else:
            assert (keys.images.shape, keys.views.shape, pixels.shape) == ((7, 32), (7,), (7, 48))
    assert reasons == {FOREIGN, "its pixels do not unfold to 336 bytes"}


def pixel_file(frame: bytes, rows: int = 7, width: int = 48) -> bytes:
    """Return a file whose header promises that the frame unfolds to so many rows of that width."""
    collection = PIXELS._replace(width=width)
    keys = make_keys(rows)
    views_end, images_end = 2 * rows, 34 * rows
    header = {
        "__metadata__": {"graft": to_json(collection, DESCRIPTION)},
        "view": {"dtype": "U16", "shape": [rows], "data_offsets": [0, views_end]},
        "image": {"dtype": "U8", "shape": [rows, 32], "data_offsets": [views_end, images_end]},
        "pixels": {"dtype": "U8", "shape": [len(frame)], "data_offsets": [images_end, images_end + len(frame)]},
    }
    return with_header(header, keys.views.tobytes() + keys.images.tobytes() + frame)


def frame_of(size: int) -> bytes:
    """Return a frame that unfolds to so many zeros."""
    packed: bytes = pa.Codec("zstd", 1).compress(bytes(size), asbytes=True)
    return packed


def test_a_file_of_pixels_built_by_hand_is_taken() -> None:
    content = pixel_file(frame_of(7 * 48))
    assert not decode(named(content), content, PIXELS)[1].any()


@pytest.mark.parametrize(
    ("frame", "width", "reason"),
    [
        pytest.param(frame_of(335), 48, "its pixels do not unfold to 336 bytes", id="too few"),
        pytest.param(frame_of(1 << 20), 48, "its pixels do not unfold to 336 bytes", id="a bomb"),
        pytest.param(frame_of(336) + b"more", 48, "its pixels do not unfold to 336 bytes", id="more bytes behind"),
        pytest.param(b"zeros", 48, "its pixels do not unfold to 336 bytes", id="not compressed"),
        pytest.param(b"", 48, FOREIGN, id="empty"),
        pytest.param(
            frame_of(336), 1 << 28, "its pixels would take 1,879,048,192 bytes, more than a segment may", id="too large"
        ),
    ],
)
def test_pixels_of_another_size_than_promised_are_refused(frame: bytes, width: int, reason: str) -> None:
    content = pixel_file(frame, width=width)
    assert refusal(decode, named(content), content, PIXELS._replace(width=width)) == reason
