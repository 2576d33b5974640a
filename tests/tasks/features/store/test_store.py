import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import TimeoutExpired

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.common.errors import GraftError
from tasks.features.store import Store
from tasks.features.store.collection import Keys, Vectors
from tasks.features.store.index import ODD
from tasks.features.store.segment import encode
from tests.tasks.features.stores import LABEL, SPACE, Files, fill, holds, keys, segment, start, truth

WRITER = """
import sys
from tasks.features.store import Store
from tests.tasks.features.stores import fill, keys
store = Store(sys.argv[1])
for seed in map(int, sys.argv[2:]):
    fill(store, keys(300, seed))
    print(seed, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def joined(*some: Keys) -> Keys:
    """Return all of those keys."""
    return Keys(np.concatenate([one.images for one in some]), np.concatenate([one.views for one in some]))


def changed(content: bytes, place: int = 60, change: int = 1) -> bytes:
    """Return a file's content with one byte changed; byte 60 is one of a vector."""
    return content[:place] + bytes([content[place] ^ change]) + content[place + 1 :]


def picked(some: Keys, places: object) -> Keys:
    """Return the keys at those places."""
    return Keys(some.images[places], some.views[places])


def test_a_store_that_does_not_exist_yet_is_empty_and_looking_at_it_makes_nothing(store: Store, tmp_path: Path) -> None:
    index = store.index(SPACE)
    assert index.missing(*keys(3)).tolist() == [True] * 3
    vectors, missing = index.read(*keys(3))
    assert missing.tolist() == [True] * 3
    np.testing.assert_array_equal(vectors, np.zeros((3, 5), np.float32))
    assert list(tmp_path.iterdir()) == []


@given(st.data())
@settings(max_examples=60)
def test_keys_in_any_segments_come_back_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    known = keys(40, seed=data.draw(st.integers(0, 9)))
    store = Store(tmp_path_factory.mktemp("store"))
    places = st.lists(st.integers(0, 29), max_size=30)
    written = data.draw(st.lists(places, max_size=5))
    for some in written:
        store.write(SPACE, LABEL, *picked(known, some), truth(*picked(known, some)))
    asked = data.draw(st.lists(st.integers(0, 39), max_size=60))
    expected = [place in {place for some in written for place in some} for place in asked]
    assert holds(store, picked(known, asked)) == expected


@pytest.mark.parametrize("cache_bytes", [0, 1000, 1 << 28])
def test_vectors_are_right_however_few_are_kept(store: Store, cache_bytes: int) -> None:
    some = [keys(100, seed) for seed in range(10)]
    fill(store, *some)
    everything = joined(*some)
    order = np.random.default_rng(0).permutation(1000)
    index = store.index(SPACE, cache_bytes)
    for places in np.split(order, 20):
        vectors, missing = index.read(*picked(everything, places))
        assert not missing.any()
        np.testing.assert_array_equal(vectors, truth(*picked(everything, places)))


def test_no_more_vectors_are_kept_than_told(store: Store) -> None:
    wide = SPACE._replace(width=10_000)
    some = [keys(25, seed) for seed in range(20)]  # 1 MB each
    for one in some:
        store.write(wide, LABEL, *one, np.zeros((25, 10_000), np.float32))
    before = pa.total_allocated_bytes()
    index = store.index(wide, cache_bytes=4_500_000)
    for one in some:
        index.read(*one)
    assert 3_000_000 < pa.total_allocated_bytes() - before < 5_000_000


def test_rows_asked_for_in_the_order_of_writing_are_read_from_each_file_once(store: Store) -> None:
    some = [keys(100, seed) for seed in range(3)]
    files = fill(store, *some)
    opened: list[str] = []
    index = store.index(SPACE)
    real = store.place.files

    def open_input_file(path: str) -> object:
        opened.append(path)
        return real.open_input_file(path)

    store.place.files = Files(real, open_input_file=open_input_file)
    everything = joined(*some)
    for first in range(0, 300, 7):
        index.read(*picked(everything, slice(first, first + 7)))
    assert opened == [str(path) for path in files]


def test_keys_that_are_alike_are_told_apart(store: Store) -> None:
    """The index halves its way by a number mixed from the first bytes and the view: these keys have the same one."""
    images = np.random.default_rng(3).integers(0, 256, (4, 32), np.uint8)
    images[:, :8] = images[0, :8]
    images[1] = images[0]
    images[1, 31] ^= 1
    images[3, :8] = (images[3, :8].copy().view("<u8") ^ 5 * int(ODD) % 2**64).view(np.uint8)
    alike = Keys(images, np.array([0, 0, 0, 5], np.uint16))
    fill(store, picked(alike, [0, 3]), picked(alike, [1]))
    assert holds(store, alike) == [True, True, False, True]
    assert holds(store, alike._replace(views=alike.views + 1)) == [False] * 4


def test_views_of_one_image_are_told_apart(store: Store) -> None:
    image = keys(1).images
    views = Keys(np.repeat(image, 5, axis=0), np.array([0, 1, 2, 256, 65535], np.uint16))
    fill(store, picked(views, [0, 2, 4]))
    assert holds(store, views) == [True, False, True, False, True]


def test_spaces_are_told_apart(store: Store) -> None:
    other = SPACE._replace(width=6)
    fill(store, keys(4))
    fill(store, keys(2), space=other)
    assert holds(store, keys(5)) == [True] * 4 + [False]
    assert holds(store, keys(5), other) == [True] * 2 + [False] * 3


def test_nothing_is_written_for_no_rows(store: Store, tmp_path: Path) -> None:
    store.write(SPACE, LABEL, *keys(0), truth(*keys(0)))
    assert list(tmp_path.iterdir()) == []


def test_arrays_that_do_not_fit_are_refused(store: Store) -> None:
    images, views = keys(2)
    for call in (
        lambda: store.write(SPACE, LABEL, images, views[:1], truth(images, views)),
        lambda: store.write(SPACE, LABEL, images, views, truth(images, views).astype(float)),
        lambda: store.index(SPACE).missing(images, views.astype(int)),
        lambda: store.index(SPACE).read(images[:, :31], views),
    ):
        with pytest.raises(ValueError, match="^expected "):
            call()


def test_what_others_wrote_or_deleted_is_seen_after_a_refresh(store: Store) -> None:
    index = store.index(SPACE)
    first, second = keys(3, 1), keys(4, 2)
    both = joined(first, second)
    (path,) = fill(store, first)
    assert index.missing(*both).tolist() == [True] * 7
    index.refresh()
    assert index.missing(*both).tolist() == [False] * 3 + [True] * 4
    fill(store, second)
    path.unlink()
    index.refresh()
    assert index.missing(*both).tolist() == [True] * 3 + [False] * 4
    assert index.read(*both)[1].tolist() == [True] * 3 + [False] * 4
    shutil.rmtree(store.place.name)
    index.refresh()
    assert index.missing(*both).all()


def test_a_segment_that_vanishes_after_the_index_was_read_is_missing_without_a_word(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = keys(3, 1), keys(4, 2)
    path = fill(store, first)[0]
    fill(store, second)
    index = store.index(SPACE)
    path.unlink()
    both = joined(first, second)
    assert not index.missing(*both).any()
    vectors, missing = index.read(*both)
    assert missing.tolist() == index.missing(*both).tolist() == [True] * 3 + [False] * 4
    np.testing.assert_array_equal(vectors[3:], truth(*second))
    assert capsys.readouterr().err == ""


def test_a_segment_that_vanishes_while_the_index_is_read_is_missing_without_a_word(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = fill(store, keys(3, 1), keys(4, 2))
    real = store.place.files

    def open_input_file(name: str) -> object:
        path.unlink(missing_ok=True)
        return real.open_input_file(name)

    store.place.files = Files(real, open_input_file=open_input_file)
    assert holds(store, joined(keys(3, 1), keys(4, 2))) == [False] * 3 + [True] * 4
    assert capsys.readouterr().err == ""


def test_of_segments_with_the_same_keys_the_first_serves_and_the_next_one_when_it_is_lost(store: Store) -> None:
    some = keys(3)
    vectors: list[Vectors] = [truth(*some) + number for number in range(3)]
    vectors.sort(key=lambda one: encode(SPACE, LABEL, some, one)[0])
    for one in vectors:
        store.write(SPACE, LABEL, *some, one)
    paths = sorted(Path(store.place.path(SPACE.id)).iterdir())
    np.testing.assert_array_equal(store.index(SPACE).read(*some)[0], vectors[0])
    index = store.index(SPACE)
    paths[0].write_bytes(changed(paths[0].read_bytes()))
    paths[1].unlink()
    found, missing = index.read(*some)
    assert not missing.any()
    np.testing.assert_array_equal(found, vectors[2])


def test_damage_found_on_reading_is_told_once_and_mended_by_writing_again(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = keys(3, 1), keys(4, 2)
    path = fill(store, first)[0]
    fill(store, second)
    path.write_bytes(changed(path.read_bytes()))
    index = store.index(SPACE)
    both = joined(first, second)
    for _ in range(2):
        assert index.read(*both)[1].tolist() == [True] * 3 + [False] * 4
        index.refresh()
    told = f"features: {path} is ignored: its bytes do not match its name\n"
    assert capsys.readouterr().err == told
    fill(store, first)
    index.refresh()
    vectors, missing = index.read(*both)
    assert not missing.any()
    np.testing.assert_array_equal(vectors, truth(*both))
    assert capsys.readouterr().err == ""


def test_keys_that_were_misread_are_found_out_by_the_file_itself(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fill(store, keys(3))[0]
    content = path.read_bytes()
    other = encode(SPACE, LABEL, keys(3, 9), truth(*keys(3)))[1].to_pybytes()
    path.write_bytes(other)
    index = store.index(SPACE)
    assert not index.missing(*keys(3, 9)).any()
    path.write_bytes(content)
    assert index.read(*keys(3, 9))[1].all()
    assert capsys.readouterr().err == f"features: {path} is ignored: its keys were misread\n"


def test_vectors_that_were_kept_are_not_taken_for_those_of_new_keys(store: Store) -> None:
    path = fill(store, keys(3))[0]
    index = store.index(SPACE)
    assert not index.read(*keys(3))[1].any()
    path.write_bytes(segment(keys(3, 9))[1])
    index.refresh()
    assert index.read(*keys(3, 9))[1].all()


OTHER = segment(keys(3), SPACE._replace(precision="int8"))[1]
WIDER = segment(keys(3), SPACE._replace(width=6))[1]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("1" * 64 + ".parquet", b"", "it is empty"),
        ("1" * 64 + ".parquet", b"PAR1", "it is damaged"),
        ("1" * 64 + ".parquet", b"<html>" * 1000, "it is damaged"),
        ("1" * 64 + ".parquet", OTHER, "it belongs to another space"),
        ("1" * 64 + ".parquet", WIDER, "it belongs to another space"),
        ("1" * 64 + ".parquet", None, "it is no segment of a feature store"),
        ("notes.txt", b"hello", "it is no segment of a feature store"),
        ("1" * 63 + ".parquet", OTHER, "it is no segment of a feature store"),
        ("A" * 64 + ".parquet", OTHER, "it is no segment of a feature store"),
        ("folder", None, "it is no segment of a feature store"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_ignored(
    store: Store, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None, told: str
) -> None:
    fill(store, keys(3))
    path = Path(store.place.path(SPACE.id, name))
    path.mkdir() if content is None else path.write_bytes(content)
    assert holds(store, keys(5)) == [True] * 3 + [False] * 2
    assert capsys.readouterr().err == f"features: {path} is ignored: {told}\n"


def test_hidden_files_and_those_of_killed_writers_are_ignored_without_a_word(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fill(store, keys(3))[0]
    path.with_name(f".{path.name}.{'0' * 16}.tmp").write_bytes(b"half")
    path.with_name(".DS_Store").write_bytes(b"")
    assert holds(store, keys(3)) == [True] * 3
    assert capsys.readouterr().err == ""


def test_of_many_files_that_cannot_be_used_ten_are_named(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    paths = fill(store, *(keys(1, seed) for seed in range(12)))
    for path in paths:
        path.write_bytes(b"")
    store.index(SPACE)
    lines = [f"features: {path} is ignored: it is empty" for path in sorted(paths)[:10]]
    assert capsys.readouterr().err.splitlines() == [*lines, "features: 2 more files there are ignored"]


def test_a_changed_byte_or_a_cut_anywhere_gives_the_right_vectors_or_none(store: Store) -> None:
    """Of a pair of segments one is spoilt: its keys come right or are missing, the other's come."""
    some = keys(4)
    path = fill(store, some)[0]
    fill(store, keys(2, 1))
    content = path.read_bytes()
    wanted = joined(some, keys(2, 1))
    changes = np.random.default_rng(2).integers(1, 256, len(content)).tolist()
    spoilt = [changed(content, place, change) for place, change in enumerate(changes)]
    spoilt += [content[:length] for length in range(0, len(content), 9)] + [content + b"\0", content + content]
    for one in spoilt:
        path.write_bytes(one)
        assert holds(store, wanted) == [False] * 4 + [True] * 2
    path.write_bytes(content)
    assert holds(store, wanted) == [True] * 6


def test_a_store_goes_to_other_processes(store: Store) -> None:
    sent = pickle.dumps(store)
    fill(pickle.loads(sent), keys(3))  # noqa: S301
    assert holds(pickle.loads(sent), keys(3)) == [True] * 3  # noqa: S301


def test_threads_write_at_once(store: Store) -> None:
    some = [keys(20, seed % 8) for seed in range(24)]  # each three times
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: fill(store, one), some))
    assert all(holds(store, joined(*some)))
    assert len(list(Path(store.place.path(SPACE.id)).iterdir())) == 8


def test_two_processes_fill_one_store_at_once(store: Store) -> None:
    writers = [start(WRITER, store.place.name, *range(first, first + 30)) for first in (0, 15)]
    for writer in writers:
        _, errors = writer.communicate()
        assert (writer.returncode, errors) == (0, "")
    assert all(holds(store, joined(*(keys(300, seed) for seed in range(45)))))
    assert len(list(Path(store.place.path(SPACE.id)).iterdir())) == 45


def test_a_writer_that_is_killed_at_any_instant_loses_one_segment_at_most(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = np.random.default_rng(5)
    for _ in range(8):
        shutil.rmtree(store.place.name, ignore_errors=True)
        with start(WRITER, store.place.name, *range(10_000)) as writer:
            told = [writer.stdout.readline() for _ in range(numbers.integers(1, 20))]
            with pytest.raises(TimeoutExpired):
                writer.wait(numbers.uniform(0, 0.01))
            writer.kill()
            told += writer.stdout.readlines()
        held = np.reshape(holds(store, joined(*(keys(300, seed) for seed in range(len(told) + 2)))), (-1, 300))
        assert held[: len(told)].all()  # whatever was told is there
        assert len(set(held[len(told)])) == 1  # the one at work is there whole or not at all
        assert not held[len(told) + 1].any()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_store_that_is_deleted_while_it_is_written_is_made_again_twice(store: Store, times: int) -> None:
    real, deleted = store.place.files, []

    def open_output_stream(path: str) -> object:
        if len(deleted) < times:
            deleted.append(path)
            shutil.rmtree(store.place.name)
        return real.open_output_stream(path)

    store.place.files = Files(real, open_output_stream=open_output_stream)
    if times == 3:
        with pytest.raises(GraftError, match=f"{store.place.name} cannot be written to: No such file or directory. "):
            fill(store, keys(3))
    else:
        fill(store, keys(3))
    assert holds(store, keys(3)) == [times < 3] * 3
