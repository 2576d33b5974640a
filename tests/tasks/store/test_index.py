import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.store import Keys, Store
from tasks.store.key_table import VIEW_FACTOR
from tasks.store.segment import encode
from tasks.store.usage import usage
from tests.tasks.store.helpers import (
    COLLECTION,
    DESCRIPTION,
    concatenated,
    fill,
    make_keys,
    segment,
    stored,
    vectors_of,
)


def changed(content: bytes, position: int = -1, change: int = 1) -> bytes:
    """Return a file's content with one byte changed."""
    data = bytearray(content)
    data[position] ^= change
    return bytes(data)


def with_changed_vector(content: bytes) -> bytes:
    """Return a segment's content with one byte of its first vector changed."""
    return changed(content, 8 + int.from_bytes(content[:8], "little"))


def at(*positions: int) -> npt.NDArray[np.int64]:
    return np.array(positions, np.int64)


def test_a_store_that_does_not_exist_yet_is_empty_and_looking_at_it_creates_nothing(
    store: Store, tmp_path: Path
) -> None:
    index = store.index(COLLECTION)
    assert index.missing(make_keys(3)).tolist() == [True] * 3
    vectors, missing = index.read(make_keys(3))
    assert missing.tolist() == [True] * 3
    np.testing.assert_array_equal(vectors, np.zeros((3, 5), np.float32))
    assert list(tmp_path.iterdir()) == []


@given(st.data())
@settings(max_examples=60)
def test_keys_in_any_segments_come_back_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    keys = make_keys(40, seed=data.draw(st.integers(0, 9)))
    store = Store(tmp_path_factory.mktemp("store"))
    written = data.draw(st.lists(st.lists(st.integers(0, 29), max_size=30), max_size=5))
    fill(store, *(keys.take(at(*positions)) for positions in written))
    asked = data.draw(st.lists(st.integers(0, 39), max_size=60))
    expected = [position in {position for positions in written for position in positions} for position in asked]
    assert stored(store, keys.take(at(*asked))) == expected


@pytest.mark.parametrize("cache_bytes", [0, 1000, 1 << 28])
def test_vectors_are_right_however_few_are_cached(store: Store, cache_bytes: int) -> None:
    parts = [make_keys(100, seed) for seed in range(10)]
    fill(store, *parts)
    keys = concatenated(*parts)
    index = store.index(COLLECTION, cache_bytes)
    for positions in np.split(np.random.default_rng(0).permutation(1000), 20):
        vectors, missing = index.read(keys.take(positions))
        assert not missing.any()
        np.testing.assert_array_equal(vectors, vectors_of(keys.take(positions)))


def test_no_more_vectors_are_cached_than_asked_for(store: Store) -> None:
    wide = COLLECTION._replace(width=10_000)
    parts = [make_keys(25, seed) for seed in range(20)]  # 1 MB each
    for keys in parts:
        store.write(wide, DESCRIPTION, keys, np.zeros((25, 10_000), np.float32))
    before = pa.total_allocated_bytes()
    index = store.index(wide, cache_bytes=4_500_000)
    for keys in parts:
        index.read(keys)
    assert 3_000_000 < pa.total_allocated_bytes() - before < 5_000_000


def test_a_segment_stays_cached_while_its_rows_are_read_one_after_another(store: Store) -> None:
    paths = fill(store, make_keys(100), make_keys(100, 1))
    index = store.index(COLLECTION)
    for path, seed in zip(paths, (0, 1), strict=True):
        keys = make_keys(100, seed)
        assert not index.read(keys.take(slice(0, 1)))[1].any()
        path.unlink()
        vectors, missing = index.read(keys)
        assert not missing.any()
        np.testing.assert_array_equal(vectors, vectors_of(keys))


def test_keys_that_are_mixed_into_the_same_number_are_told_apart(store: Store) -> None:
    """The number is made of the first bytes of the digest and the view."""
    images = np.random.default_rng(3).integers(0, 256, (4, 32), np.uint8)
    images[:, :8] = images[0, :8]
    images[1] = images[0]
    images[1, 31] ^= 1
    images[3, :8] = (images[3, :8].copy().view("<u8") ^ 5 * int(VIEW_FACTOR) % 2**64).view(np.uint8)
    alike = Keys(images, np.array([0, 0, 0, 5], np.uint16))
    fill(store, alike.take(at(0, 3)), alike.take(at(1)))
    assert stored(store, alike) == [True, True, False, True]
    assert stored(store, alike._replace(views=alike.views + np.uint16(1))) == [False] * 4


def test_views_of_one_image_are_told_apart(store: Store) -> None:
    views = Keys(np.repeat(make_keys(1).images, 5, axis=0), np.array([0, 1, 2, 256, 65535], np.uint16))
    fill(store, views.take(at(0, 2, 4)))
    assert stored(store, views) == [True, False, True, False, True]


def test_collections_are_told_apart(store: Store) -> None:
    other = COLLECTION._replace(width=6)
    fill(store, make_keys(4))
    fill(store, make_keys(2), collection=other)
    assert stored(store, make_keys(5)) == [True] * 4 + [False]
    assert stored(store, make_keys(5), other) == [True] * 2 + [False] * 3


def test_a_refresh_shows_what_others_wrote_or_deleted(store: Store) -> None:
    index = store.index(COLLECTION)
    first, second = make_keys(3, 1), make_keys(4, 2)
    both = concatenated(first, second)
    (path,) = fill(store, first)
    assert index.missing(both).tolist() == [True] * 7
    index.refresh()
    assert index.missing(both).tolist() == [False] * 3 + [True] * 4
    fill(store, second)
    path.unlink()
    index.refresh()
    assert index.missing(both).tolist() == [True] * 3 + [False] * 4
    assert index.read(both)[1].tolist() == [True] * 3 + [False] * 4
    shutil.rmtree(store.name)
    index.refresh()
    assert index.missing(both).all()


def test_a_segment_that_vanishes_after_the_index_was_read_is_missing_without_a_message(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = make_keys(3, 1), make_keys(4, 2)
    path, _ = fill(store, first, second)
    index = store.index(COLLECTION)
    path.unlink()
    both = concatenated(first, second)
    assert not index.missing(both).any()
    vectors, missing = index.read(both)
    assert missing.tolist() == index.missing(both).tolist() == [True] * 3 + [False] * 4
    np.testing.assert_array_equal(vectors[3:], vectors_of(second))
    assert capsys.readouterr().err == ""


def test_segments_that_others_write_and_delete_meanwhile_are_there_or_missing_without_a_message(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [make_keys(5, seed) for seed in range(20)]
    steady = make_keys(5, 99)
    fill(store, steady)
    ended = threading.Event()

    def write_and_delete() -> None:
        while not ended.is_set():
            for path in fill(store, *parts):
                path.unlink()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write_and_delete)
        try:
            for _ in range(40):
                assert stored(store, concatenated(*parts, steady))[-5:] == [True] * 5
                (row,) = usage(store)
                assert row.entries == 5 * row.segments
        finally:
            ended.set()
        writer.result()
    assert capsys.readouterr().err == ""


def test_the_first_of_segments_with_the_same_keys_serves_and_the_next_one_when_it_is_lost(store: Store) -> None:
    keys = make_keys(3)
    variants = [vectors_of(keys) + np.float32(number) for number in range(3)]
    variants.sort(key=lambda vectors: encode(COLLECTION, DESCRIPTION, keys, vectors)[0])
    for vectors in variants:
        store.write(COLLECTION, DESCRIPTION, keys, vectors)
    paths = sorted(Path(store.name, COLLECTION.id).iterdir())
    np.testing.assert_array_equal(store.index(COLLECTION).read(keys)[0], variants[0])
    index = store.index(COLLECTION)
    paths[0].write_bytes(with_changed_vector(paths[0].read_bytes()))
    paths[1].unlink()
    vectors, missing = index.read(keys)
    assert not missing.any()
    np.testing.assert_array_equal(vectors, variants[2])


def test_damage_found_on_reading_is_reported_once_and_mended_by_writing_again(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = make_keys(3, 1), make_keys(4, 2)
    path, _ = fill(store, first, second)
    path.write_bytes(with_changed_vector(path.read_bytes()))
    index = store.index(COLLECTION)
    both = concatenated(first, second)
    for _ in range(2):
        assert index.read(both)[1].tolist() == [True] * 3 + [False] * 4
        index.refresh()
    assert capsys.readouterr().err == f"store: {path} is ignored: its bytes do not match its name\n"
    fill(store, first)
    index.refresh()
    vectors, missing = index.read(both)
    assert not missing.any()
    np.testing.assert_array_equal(vectors, vectors_of(both))
    assert capsys.readouterr().err == ""


def test_keys_that_were_misread_are_noticed_when_the_whole_file_is_read(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = fill(store, make_keys(3))
    content = path.read_bytes()
    path.write_bytes(encode(COLLECTION, DESCRIPTION, make_keys(3, 9), vectors_of(make_keys(3)))[1])
    index = store.index(COLLECTION)
    assert not index.missing(make_keys(3, 9)).any()
    path.write_bytes(content)
    assert index.read(make_keys(3, 9))[1].all()
    assert capsys.readouterr().err == f"store: {path} is ignored: its keys were misread\n"


def test_cached_vectors_are_not_taken_for_those_of_new_keys(store: Store) -> None:
    (path,) = fill(store, make_keys(3))
    index = store.index(COLLECTION)
    assert not index.read(make_keys(3))[1].any()
    path.write_bytes(segment(make_keys(3, 9))[1])
    index.refresh()
    assert index.read(make_keys(3, 9))[1].all()


OTHER = segment(make_keys(3), COLLECTION._replace(precision="int8"))[1]
WIDER = segment(make_keys(3), COLLECTION._replace(width=6))[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b"<html>" * 1000, "it is no segment of a feature store", id="a web page"),
        pytest.param(OTHER, "it belongs to another collection", id="another precision"),
        pytest.param(WIDER, "it belongs to another collection", id="another width"),
    ],
)
def test_a_segment_that_cannot_be_used_is_named_and_ignored(
    store: Store, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    fill(store, make_keys(3))
    path = Path(store.name, COLLECTION.id, "1" * 64 + ".safetensors")
    path.write_bytes(content)
    assert stored(store, make_keys(5)) == [True] * 3 + [False] * 2
    assert capsys.readouterr().err == f"store: {path} is ignored: {reason}\n"


def test_files_without_the_name_of_a_segment_are_ignored_without_a_message(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = fill(store, make_keys(3))
    content = segment(make_keys(2, 1))[1]
    for name in (
        "1" * 64 + ".parquet",  # segments of stores before safetensors
        "1" * 63 + ".safetensors",
        "A" * 64 + ".safetensors",
        f".{path.name}.{'0' * 16}.tmp",
        ".DS_Store",
        "notes.txt",
    ):
        path.with_name(name).write_bytes(content)
    path.with_name("1" * 64 + ".safetensors").mkdir()
    assert stored(store, concatenated(make_keys(3), make_keys(2, 1))) == [True] * 3 + [False] * 2
    assert [row.entries for row in usage(store)] == [3]
    assert capsys.readouterr().err == ""


def test_ten_of_many_files_that_cannot_be_used_are_named(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    paths = fill(store, *(make_keys(1, seed) for seed in range(12)))
    for path in paths:
        path.write_bytes(b"")
    store.index(COLLECTION)
    lines = [f"store: {path} is ignored: it is empty" for path in sorted(paths)[:10]]
    assert capsys.readouterr().err.splitlines() == [*lines, "store: 2 more files there are ignored"]


def test_a_changed_byte_or_a_cut_anywhere_gives_the_right_vectors_or_none(store: Store) -> None:
    """The keys of the damaged segment come back right or are missing; those of the other segment come back."""
    damaged, intact = make_keys(4), make_keys(2, 1)
    path, _ = fill(store, damaged, intact)
    content = path.read_bytes()
    changes = np.random.default_rng(2).integers(1, 256, len(content)).tolist()
    variants = [changed(content, position, change) for position, change in enumerate(changes)]
    variants += [content[:length] for length in range(0, len(content), 9)] + [content + b"\0", content + content]
    for variant in variants:
        path.write_bytes(variant)
        assert stored(store, concatenated(damaged, intact)) == [False] * 4 + [True] * 2
    path.write_bytes(content)
    assert stored(store, concatenated(damaged, intact)) == [True] * 6
