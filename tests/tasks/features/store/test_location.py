"""Places: local folders with real trouble, and a real S3 server on loopback."""

import pickle
import re
import socket
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from tasks.common.errors import GraftError
from tasks.features.store import Store
from tasks.features.store.location import Location
from tasks.features.store.usage import Pruned, prune, usage
from tests.tasks.conftest import nobody
from tests.tasks.features.stores import SPACE, Files, fill, holds, keys, segment

ROOM = "Make room and give write access there, or set features.store to another place."
ACCESS = "Give read access there, or set features.store to another place."
NETWORK = "Check its address, the credentials and the network, or set features.store to another place."


def refusal(function: Callable[..., object], *words: object) -> str:
    """Return the text of the error that a call ends in: one line."""
    with pytest.raises(GraftError) as caught:
        function(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def index(store: Store) -> None:
    """Read the index."""
    store.index(SPACE)


@pytest.fixture
def shared() -> Iterator[Path]:
    """Make a folder outside of pytest's own, which other users may not enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("place", ["{}/a/b", "file://{}/a/b"])
def test_a_store_is_a_local_path_or_its_uri(tmp_path: Path, place: str) -> None:
    store = Store(place.format(tmp_path))
    fill(store, keys(3))
    assert holds(store, keys(4)) == [True] * 3 + [False]
    assert [path.name for path in (tmp_path / "a" / "b" / SPACE.id).iterdir()] == [segment(keys(3))[0]]


def test_a_relative_path_stays_where_it_was_and_a_tilde_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    place = Location("a/b")
    monkeypatch.chdir("/")
    assert place.name == str(tmp_path / "a" / "b")
    assert Location("~/c").name == "/home/someone/c"


def test_a_read_only_store_can_be_read_and_what_cannot_be_written_is_told(shared: Path) -> None:
    store = Store(shared / "store")
    fill(store, keys(3))
    folder = Path(store.place.path(SPACE.id))
    folder.chmod(0o555)
    with nobody():
        assert holds(store, keys(3)) == [True] * 3
        told = refusal(fill, store, keys(3, 1))
    folder.chmod(0o755)
    assert told == f"the feature store {shared}/store cannot be written to: Permission denied. {ROOM}"
    assert len(list(folder.iterdir())) == 1


def test_a_store_that_may_not_be_read_is_told(shared: Path) -> None:
    store = Store(shared / "store")
    fill(store, keys(3))
    folder = Path(store.place.path(SPACE.id))
    folder.chmod(0)
    with nobody():
        told = refusal(index, store)
    folder.chmod(0o755)
    assert told == f"the feature store {shared}/store cannot be read: Permission denied. {ACCESS}"


def test_a_segment_that_may_not_be_read_is_named_and_ignored(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(shared / "store")
    path = fill(store, keys(3), keys(2, 1))[0]
    path.chmod(0)
    with nobody():
        assert holds(store, keys(3)) == [False] * 3
        assert holds(store, keys(2, 1)) == [True] * 2
    assert capsys.readouterr().err.splitlines() == [f"features: {path} is ignored: Permission denied"] * 2


def test_a_full_disk_is_told_and_nothing_half_written_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = fill(store, keys(3))
    real = store.place.files

    def open_output_stream(path: str) -> object:
        Path(path).write_bytes(b"half")
        return real.open_output_stream("/dev/full")

    store.place.files = Files(real, open_output_stream=open_output_stream)
    told = refusal(fill, store, keys(3, 1))
    assert told == f"the feature store {tmp_path} cannot be written to: No space left on device. {ROOM}"
    assert [*tmp_path.rglob("*.*")] == kept
    assert holds(store, keys(3)) == [True] * 3


@pytest.mark.parametrize("inside", ["", "/below"])
def test_a_file_in_the_place_of_the_store_is_told(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    store = Store(f"{tmp_path}/file{inside}")
    told = f"the feature store {store.place.name} cannot be written to: Not a directory. {ROOM}"
    assert refusal(fill, store, keys(3)) == told
    if not inside:
        assert refusal(index, store) == (
            f"features.store must be a folder; {tmp_path}/file is a file. "
            "Move it away, or set features.store to another place."
        )
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("foo://host/x", "foo://host/x cannot be used: Unrecognized filesystem type in URI: foo://host/x."),
        ("file:///x y", "file:///x y cannot be used: Cannot parse URI: 'file:///x y' due to .*"),
        ("s3://bucket/x?speed=high", "s3://bucket/x cannot be used: Unexpected query parameter in S3 URI: 'speed'."),
        ("s3://KEY:SEC/RET@bucket/x", "s3://bucket/x cannot be used: Cannot parse URI: 's3://bucket/x' due to .*"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_secrets(place: str, told: str) -> None:
    allowed = "features.store must be a folder or an address such as s3://bucket/folder; "
    pattern = re.escape(allowed + told).replace(r"\.\*", ".*")
    assert re.fullmatch(pattern, found := refusal(Location, place)), found


def test_an_address_without_a_bucket_is_told() -> None:
    assert refusal(Location, "s3://") == "features.store must name a bucket, such as s3://bucket/folder; found s3://."


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Serve S3 on loopback and return what an address of it ends with."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield options(port)
    server.stop()


def options(port: int) -> str:
    """Return what the address of a bucket at a port of loopback ends with."""
    return f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"


@pytest.fixture
def bucket(server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a bucket and return the address of a folder in it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"test-{zlib.crc32(request.node.name.encode())}"
    fs.FileSystem.from_uri(f"s3://{name}{server}&allow_bucket_creation=true")[0].create_dir(name)
    return f"s3://{name}/a/store{server}"


def test_a_bucket_holds_a_store(bucket: str, capfd: pytest.CaptureFixture[str]) -> None:
    store = Store(bucket)
    assert holds(store, keys(3)) == [False] * 3
    fill(store, keys(3), keys(4, 1))
    fill(pickle.loads(pickle.dumps(store)), keys(3))  # noqa: S301
    assert holds(store, keys(5)) == [True] * 3 + [False] * 2
    assert holds(store, keys(4, 1)) == [True] * 4
    names = [info.base_name for info in store.place.entries(SPACE.id)]
    assert names == sorted([segment(keys(3))[0], segment(keys(4, 1))[0]])
    assert "features:" not in capfd.readouterr().err


def test_a_segment_of_many_megabytes_goes_into_a_bucket_whole(bucket: str) -> None:
    wide = SPACE._replace(width=100_000)
    fill(Store(bucket), keys(32), space=wide)  # 13 MB: more than one part of an upload
    assert holds(Store(bucket), keys(33), wide) == [True] * 32 + [False]


def test_damage_and_what_others_do_in_a_bucket_are_seen(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(bucket)
    fill(store, keys(3), keys(4, 1))
    index = store.index(SPACE)
    name, content = segment(keys(3))
    path = store.place.path(SPACE.id, name)
    with store.place.files.open_output_stream(path) as stream:
        stream.write(content[:60] + b"!" + content[61:])
    assert index.read(*keys(3))[1].all()
    told = f"features: {bucket.partition('?')[0]}/{SPACE.id}/{name} is ignored: its bytes do not match its name"
    assert told in capsys.readouterr().err.splitlines()
    fill(store, keys(3))
    index.refresh()
    assert not index.read(*keys(3))[1].any()
    store.place.files.delete_file(store.place.path(SPACE.id, segment(keys(4, 1))[0]))
    assert index.read(*keys(4, 1))[1].all()


@pytest.mark.parametrize("trouble", [index, lambda store: holds(store, keys(3))])
def test_a_missing_bucket_is_told(bucket: str, trouble: Callable[[Store], object]) -> None:
    store = Store(bucket.replace("s3://", "s3://no-"))
    name = bucket.partition("?")[0].replace("s3://", "s3://no-")
    told = f"features.store is {name}, but there is no such bucket. Create it, or set features.store to another place."
    assert refusal(trouble, store) == told


def test_who_may_not_ask_about_the_bucket_may_use_a_folder_of_it(bucket: str) -> None:
    store = Store(bucket)
    real, name = store.place.files, bucket.split("/")[2]

    def get_file_info(what: object) -> object:
        if what == name:
            message = f"When getting information for bucket '{name}': AWS Error ACCESS_DENIED during HeadBucket"
            raise OSError(message)
        return real.get_file_info(what)

    store.place.files = Files(real, get_file_info=get_file_info)
    assert holds(store, keys(3)) == [False] * 3
    fill(store, keys(3))
    assert holds(store, keys(3)) == [True] * 3


def test_writing_to_a_missing_bucket_is_told(bucket: str) -> None:
    store = Store(bucket.replace("s3://", "s3://no-"))
    assert refusal(fill, store, keys(3)) == (
        f"the feature store {store.place.name} cannot be written to: AWS Error NO_SUCH_BUCKET during "
        f"CreateMultipartUpload operation: The specified bucket does not exist. {NETWORK}"
    )


@pytest.mark.usefixtures("bucket")
def test_a_server_that_cannot_be_reached_is_told() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        told = refusal(index, Store(f"s3://bucket/store{options(port)}"))
    start = "the feature store s3://bucket/store cannot be read: AWS Error NETWORK_CONNECTION during ListObjectsV2 "
    assert told.startswith(start)
    assert told.endswith(f": Could not connect to server. {NETWORK}")


def test_a_server_that_goes_away_is_no_damage(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(bucket)
    fill(store, keys(3))
    index = store.index(SPACE)

    def gone(*_: object) -> None:
        message = "When reading: AWS Error NETWORK_CONNECTION: gone (Request ID: 5x)"
        raise OSError(message)

    store.place.files = Files(store.place.files, open_input_file=gone, get_file_info=gone)
    expected = f"the feature store {store.place.name} cannot be read: AWS Error NETWORK_CONNECTION: gone. {NETWORK}"
    assert refusal(index.read, *keys(3)) == expected
    assert "ignored" not in capsys.readouterr().err


def test_keys_in_an_address_are_not_shown(server: str) -> None:
    assert Location(f"s3://KEY:SECRET@bucket/a{server}").name == "s3://bucket/a"
    assert Location(f"s3://bucket/a@b{server}").name == "s3://bucket/a@b"


def test_a_bucket_is_counted_and_pruned(bucket: str) -> None:
    store = Store(bucket)
    fill(store, keys(3), keys(4, 1))
    size = len(segment(keys(3))[1]) + len(segment(keys(4, 1))[1])
    assert [(row.entries, row.segments, row.bytes) for row in usage(store)] == [(7, 2, size)]
    assert prune(store, keep_bytes=0) == Pruned(2, size)
    assert holds(store, keys(3)) == [False] * 3
    assert usage(store) == []
