"""Stores in buckets of a real S3 server on loopback."""

import pickle
import re
import socket
from collections.abc import Callable
from datetime import timedelta

import pytest
from pyarrow import fs

from tasks.store import Store
from tasks.store.usage import Pruned, prune, usage
from tests.tasks.store.conftest import S3Server, options
from tests.tasks.store.helpers import COLLECTION, error_of, fill, make_keys, segment, stored

NETWORK = "Check its address, the credentials and the network, or set features.store to another location."


def objects(address: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a bucket's address and the path of the folder there."""
    files, path = fs.FileSystem.from_uri(address)
    return files, path


def test_a_bucket_holds_a_store(bucket: str, capfd: pytest.CaptureFixture[str]) -> None:
    store = Store(bucket)
    assert stored(store, make_keys(3)) == [False] * 3
    fill(store, make_keys(3), make_keys(4, 1))
    fill(pickle.loads(pickle.dumps(store)), make_keys(3))  # noqa: S301
    assert stored(store, make_keys(5)) == [True] * 3 + [False] * 2
    assert stored(store, make_keys(4, 1)) == [True] * 4
    files, path = objects(bucket)
    names = [info.base_name for info in files.get_file_info(fs.FileSelector(f"{path}/{COLLECTION.id}"))]
    assert sorted(names) == sorted([segment(make_keys(3))[0], segment(make_keys(4, 1))[0]])
    assert "features:" not in capfd.readouterr().err


def test_a_segment_of_many_megabytes_goes_into_a_bucket_whole(bucket: str) -> None:
    wide = COLLECTION._replace(width=100_000)
    fill(Store(bucket), make_keys(32), collection=wide)  # 13 MB: more than one part of an upload
    assert stored(Store(bucket), make_keys(33), wide) == [True] * 32 + [False]


def test_damage_and_changes_by_others_in_a_bucket_are_seen(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(bucket)
    fill(store, make_keys(3), make_keys(4, 1))
    index = store.index(COLLECTION)
    name, content = segment(make_keys(3))
    files, path = objects(bucket)
    with files.open_output_stream(f"{path}/{COLLECTION.id}/{name}") as stream:
        stream.write(content[:-1] + bytes([content[-1] ^ 1]))
    assert index.read(make_keys(3))[1].all()
    message = f"store: {store.name}/{COLLECTION.id}/{name} is ignored: its bytes do not match its name"
    assert message in capsys.readouterr().err.splitlines()
    fill(store, make_keys(3))
    index.refresh()
    assert not index.read(make_keys(3))[1].any()
    files.delete_file(f"{path}/{COLLECTION.id}/{segment(make_keys(4, 1))[0]}")
    assert index.read(make_keys(4, 1))[1].all()


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda store: store.index(COLLECTION), id="index"),
        pytest.param(usage, id="usage"),
        pytest.param(lambda store: store.has_marker("run"), id="has_marker"),
    ],
)
def test_reading_from_a_missing_bucket_is_an_error(bucket: str, call: Callable[[Store], object]) -> None:
    store = Store(bucket.replace("s3://", "s3://no-"))
    name = bucket.partition("?")[0].replace("s3://", "s3://no-")
    assert error_of(call, store) == (
        f"features.store is {name}, but there is no such bucket. Create it, or set features.store to another location."
    )


def test_writing_to_a_missing_bucket_is_an_error(bucket: str) -> None:
    store = Store(bucket.replace("s3://", "s3://no-"))
    assert error_of(fill, store, make_keys(3)) == (
        f"the feature store {store.name} cannot be written to: AWS Error NO_SUCH_BUCKET during "
        f"CreateMultipartUpload operation: The specified bucket does not exist. {NETWORK}"
    )


def test_who_may_not_ask_about_the_bucket_may_use_a_folder_of_it(
    bucket: str, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(bucket)
    monkeypatch.setattr(server, "denied", re.compile(f"HEAD /{bucket.split('/')[2]}"))
    assert stored(store, make_keys(3)) == [False] * 3
    fill(store, make_keys(3))
    assert stored(store, make_keys(3)) == [True] * 3


@pytest.mark.usefixtures("credentials")
def test_a_server_that_cannot_be_reached_is_an_error() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        store = Store(f"s3://bucket/store{options(closed.getsockname()[1])}")
        message = error_of(store.index, COLLECTION)
    start = "the feature store s3://bucket/store cannot be read: AWS Error NETWORK_CONNECTION during ListObjectsV2 "
    assert message.startswith(start)
    assert message.endswith(f": Could not connect to server. {NETWORK}")


def test_a_store_that_refuses_to_be_read_any_longer_is_an_error_and_no_damage(
    bucket: str, server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(bucket)
    fill(store, make_keys(3))
    index = store.index(COLLECTION)
    monkeypatch.setattr(server, "denied", re.compile(".*"))
    message = error_of(index.read, make_keys(3))
    assert message.startswith(f"the feature store {store.name} cannot be read: AWS Error ACCESS_DENIED during ")
    assert message.endswith(NETWORK)
    assert "ignored" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("location", "name"),
    [("s3://KEY:SECRET@bucket/a", "s3://bucket/a"), ("s3://bucket/a@b", "s3://bucket/a@b")],
    ids=["keys", "an @ in a folder"],
)
def test_keys_in_an_address_are_not_shown(server: S3Server, location: str, name: str) -> None:
    assert Store(location + server.options).name == name


def test_a_marker_in_a_bucket_is_seen_until_it_is_removed(bucket: str) -> None:
    store = Store(bucket)
    assert not store.has_marker("run")
    store.put_marker("run")
    assert Store(bucket).has_marker("run")
    assert usage(store) == []
    assert prune(store, timedelta(0)) == Pruned(0, 0)
    assert store.has_marker("run")
    store.remove_marker("run")
    assert not Store(bucket).has_marker("run")


def test_a_bucket_is_counted_and_pruned(bucket: str) -> None:
    store = Store(bucket)
    fill(store, make_keys(3), make_keys(4, 1))
    size = len(segment(make_keys(3))[1]) + len(segment(make_keys(4, 1))[1])
    assert [(row.entries, row.segments, row.bytes) for row in usage(store)] == [(7, 2, size)]
    assert prune(store, keep_bytes=0) == Pruned(2, size)
    assert stored(store, make_keys(3)) == [False] * 3
    assert usage(store) == []
