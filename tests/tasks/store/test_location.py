"""Stores in local folders, with real trouble."""

import re
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.common.files import cache_folder
from tasks.store import Store
from tasks.store.location import default_location
from tests.tasks.conftest import nobody
from tests.tasks.store.helpers import COLLECTION, error_of, fill, make_keys, segment, stored

ROOM = "Make room and give write access there, or set features.store to another location."
ACCESS = "Give read access there, or set features.store to another location."


@pytest.fixture
def shared() -> Iterator[Path]:
    """Make a folder outside pytest's own, which other users may not enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def little_room(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond that many bytes."""
    usual, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, most))


@pytest.mark.parametrize("location", ["{}/a/b", "file://{}/a/b"], ids=["path", "URI"])
def test_a_store_is_a_local_path_or_its_uri(tmp_path: Path, location: str) -> None:
    store = Store(location.format(tmp_path))
    fill(store, make_keys(3))
    assert stored(store, make_keys(4)) == [True] * 3 + [False]
    assert [path.name for path in (tmp_path / "a" / "b" / COLLECTION.id).iterdir()] == [segment(make_keys(3))[0]]


def test_a_relative_path_starts_from_the_folder_in_which_the_store_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("a/b")
    monkeypatch.chdir("/")
    assert store.name == str(tmp_path / "a" / "b")
    fill(store, make_keys(3))
    assert stored(Store(tmp_path / "a" / "b"), make_keys(3)) == [True] * 3


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert Store("~/c").name == "/home/someone/c"


def test_the_params_come_before_the_environment_and_the_cache_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_location(None) == str(cache_folder() / "features")
    monkeypatch.setenv("GRAFT_STORE", "s3://bucket/folder")
    assert default_location(None) == "s3://bucket/folder"
    assert default_location("here") == "here"


def test_a_read_only_store_can_be_read_and_writing_to_it_is_an_error(shared: Path) -> None:
    store = Store(shared / "store")
    folder = fill(store, make_keys(3))[0].parent
    folder.chmod(0o555)
    with nobody():
        assert stored(store, make_keys(3)) == [True] * 3
        message = error_of(fill, store, make_keys(3, 1))
    folder.chmod(0o755)
    assert message == f"the feature store {shared}/store cannot be written to: Permission denied. {ROOM}"
    assert len(list(folder.iterdir())) == 1


def test_a_store_that_may_not_be_read_is_an_error(shared: Path) -> None:
    store = Store(shared / "store")
    folder = fill(store, make_keys(3))[0].parent
    folder.chmod(0)
    with nobody():
        message = error_of(store.index, COLLECTION)
    folder.chmod(0o755)
    assert message == f"the feature store {shared}/store cannot be read: Permission denied. {ACCESS}"


def test_a_segment_that_may_not_be_read_is_named_and_ignored(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(shared / "store")
    path, _ = fill(store, make_keys(3), make_keys(2, 1))
    path.chmod(0)
    with nobody():
        assert stored(store, make_keys(3)) == [False] * 3
        assert stored(store, make_keys(2, 1)) == [True] * 2
    assert capsys.readouterr().err.splitlines() == [f"store: {path} is ignored: Permission denied"] * 2


def test_a_segment_that_does_not_fit_is_an_error_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    paths = fill(store, make_keys(3))
    with little_room(100_000):
        message = error_of(fill, store, make_keys(5000, 1))
    assert message == f"the feature store {tmp_path} cannot be written to: File too large. {ROOM}"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == paths
    assert stored(store, make_keys(3)) == [True] * 3


@pytest.mark.parametrize("inside", ["", "/below"], ids=["the store", "a folder above it"])
def test_a_file_where_a_folder_should_be_is_an_error(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    store = Store(f"{tmp_path}/file{inside}")
    message = f"the feature store {store.name} cannot be written to: Not a directory. {ROOM}"
    assert error_of(fill, store, make_keys(3)) == message
    if not inside:
        assert error_of(store.index, COLLECTION) == (
            f"features.store must be a folder; {tmp_path}/file is a file. "
            "Move it away, or set features.store to another location."
        )
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize(
    ("location", "message"),
    [
        pytest.param(
            "foo://host/x", "foo://host/x cannot be used: Unrecognized filesystem type in URI: foo://host/x.", id="foo"
        ),
        pytest.param(
            "file:///x y", "file:///x y cannot be used: Cannot parse URI: 'file:///x y' due to .*", id="a space"
        ),
        pytest.param(
            "s3://bucket/x?speed=high",
            "s3://bucket/x cannot be used: Unexpected query parameter in S3 URI: 'speed'.",
            id="an option",
        ),
        pytest.param(
            "s3://KEY:SEC/RET@bucket/x",
            "s3://bucket/x cannot be used: Cannot parse URI: 's3://bucket/x' due to .*",
            id="a secret",
        ),
    ],
)
def test_an_address_that_cannot_be_used_is_shown_without_its_secrets(location: str, message: str) -> None:
    allowed = "features.store must be a folder or an address such as s3://bucket/folder; "
    pattern = re.escape(allowed + message).replace(r"\.\*", ".*")
    shown = error_of(Store, location)
    assert re.fullmatch(pattern, shown), shown


def test_an_address_without_a_bucket_is_an_error() -> None:
    assert error_of(Store, "s3://") == "features.store must name a bucket, such as s3://bucket/folder; found s3://."
