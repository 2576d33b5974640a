"""Writers of a store: threads, processes that are killed, stores that are deleted meanwhile; and markers."""

import pickle
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import TimeoutExpired

import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.store import Store
from tests.tasks.store.helpers import (
    COLLECTION,
    DESCRIPTION,
    concatenated,
    error_of,
    fill,
    make_keys,
    start,
    stored,
    vectors_of,
)

WRITER = """
import sys
from tasks.store import Store
from tests.tasks.store.helpers import fill, make_keys
store = Store(sys.argv[1])
for seed in map(int, sys.argv[2:]):
    fill(store, make_keys(300, seed))
    print(seed, flush=True)
"""


def test_nothing_is_written_for_no_rows(store: Store) -> None:
    store.write(COLLECTION, DESCRIPTION, make_keys(0), vectors_of(make_keys(0)))
    assert not Path(store.name).exists()


def test_arrays_that_do_not_fit_are_refused(store: Store) -> None:
    keys = make_keys(2)
    calls: list[Callable[[], object]] = [
        lambda: store.write(COLLECTION, DESCRIPTION, keys._replace(views=keys.views[:1]), vectors_of(keys)),
        lambda: store.write(COLLECTION, DESCRIPTION, keys, vectors_of(keys)[:, :4]),
        lambda: store.index(COLLECTION).missing(keys._replace(images=keys.images[:, :31])),
        lambda: store.index(COLLECTION).read(keys._replace(images=keys.images[:1])),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="^expected "):
            call()


def test_a_store_goes_to_other_processes(store: Store) -> None:
    pickled = pickle.dumps(store)
    fill(pickle.loads(pickled), make_keys(3))  # noqa: S301
    assert stored(pickle.loads(pickled), make_keys(3)) == [True] * 3  # noqa: S301


def test_threads_write_at_once(store: Store) -> None:
    parts = [make_keys(20, seed % 8) for seed in range(24)]  # each three times
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda keys: fill(store, keys), parts))
    assert all(stored(store, concatenated(*parts)))
    assert len(list(Path(store.name, COLLECTION.id).iterdir())) == 8


def test_two_processes_fill_one_store_at_once_and_write_the_same_bytes_for_the_same_vectors(store: Store) -> None:
    writers = [start(WRITER, store.name, *range(first, first + 30)) for first in (0, 15)]
    for writer in writers:
        _, errors = writer.communicate()
        assert (writer.returncode, errors) == (0, "")
    assert all(stored(store, concatenated(*(make_keys(300, seed) for seed in range(45)))))
    assert len(list(Path(store.name, COLLECTION.id).iterdir())) == 45


def test_a_writer_that_is_killed_at_any_instant_loses_one_segment_at_most(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(5)
    for _ in range(4):
        shutil.rmtree(store.name, ignore_errors=True)
        with start(WRITER, store.name, *range(10_000)) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(random.integers(1, 20))]
            with pytest.raises(TimeoutExpired):
                writer.wait(random.uniform(0, 0.01))
            writer.kill()
            lines += writer.stdout.readlines()
        keys = concatenated(*(make_keys(300, seed) for seed in range(len(lines) + 2)))
        by_segment = np.reshape(stored(store, keys), (-1, 300))
        assert by_segment[: len(lines)].all()  # each segment that was reported is there
        assert len(set(by_segment[len(lines)].tolist())) == 1  # the next one is there whole or not at all
        assert not by_segment[len(lines) + 1].any()
    assert capsys.readouterr().err == ""


def test_a_store_may_be_deleted_while_it_is_written(store: Store) -> None:
    deleting = threading.Event()

    def delete() -> None:
        while not deleting.is_set():
            shutil.rmtree(store.name, ignore_errors=True)

    written = 0
    with ThreadPoolExecutor(1) as pool:
        deleter = pool.submit(delete)
        try:
            for seed in range(200):
                try:
                    fill(store, make_keys(3, seed))
                except GraftError as error:
                    assert "cannot be written to: No such file or directory. " in str(error)  # noqa: PT017  may happen
                else:
                    written += 1
        finally:
            deleting.set()
        deleter.result()
    assert written > 100  # a folder that has just gone is made again
    fill(store, make_keys(3))
    assert stored(store, make_keys(3)) == [True] * 3
    assert not list(Path(store.name).rglob("*.tmp"))


def test_a_marker_is_seen_by_who_uses_the_same_store_until_it_is_removed(store: Store, tmp_path: Path) -> None:
    same, other = Store(f"file://{store.name}"), Store(tmp_path / "other")
    assert not same.has_marker("run")
    for _ in range(2):
        store.put_marker("run")
        assert same.has_marker("run")
    assert not other.has_marker("run")
    assert not same.has_marker("another run")
    assert stored(store, make_keys(3)) == [False] * 3
    for _ in range(2):
        same.remove_marker("run")
        assert not store.has_marker("run")


def test_a_marker_in_a_store_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file")
    start_of_message = f"the feature store {tmp_path}/file cannot be "
    assert error_of(store.put_marker, "run").startswith(f"{start_of_message}written to: Not a directory. ")
    assert error_of(store.has_marker, "run").startswith(f"features.store must be a folder; {tmp_path}/file is a file. ")
    assert error_of(store.remove_marker, "run").startswith(f"{start_of_message}pruned: Not a directory. ")
