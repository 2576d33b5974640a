"""Downloads that were interrupted, by a fault, by the end of the process, or by another process."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.backbone.download.cache import fetch
from tasks.common.errors import GraftError
from tests.tasks.backbone.download.helpers import NAME, PATH, fetch_error, list_files, md5
from tests.tasks.backbone.download.hosts import Host
from tests.tasks.conftest import ROOT

SCRIPT = (
    "import sys; from tasks.backbone.download.cache import fetch; url, name, md5 = sys.argv[1:]; fetch(url, name, md5)"
)


@contextmanager
def start_fetch(host: Host) -> Iterator[subprocess.Popen[str]]:
    """Fetch the file in a new Python process."""
    command = [sys.executable, "-c", SCRIPT, host.url + PATH, NAME, md5(host.content)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_until(condition: Callable[[], object]) -> None:
    """Poll until something has happened in another process."""
    pause = threading.Event()
    for _ in range(6000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("it did not happen within a minute")


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_download_resumes_where_it_broke_off(host: Host, cache: Path, fault: str) -> None:
    host.script = [fault, "status 404"]
    message = fetch_error(GraftError, host.url + PATH, None)
    assert message.startswith(f"cannot download {host.url}{PATH}: the server answered 404 Not Found. ")
    assert list_files(cache) == {f"{NAME}.part", f"{NAME}.part.json"}
    arrived = (cache / f"{NAME}.part").stat().st_size
    assert 0 < arrived <= len(host.content) // 2
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content
    assert host.ranges() == [None, f"bytes={arrived}-", f"bytes={arrived}-"]
    assert host.requests[-1].headers["if-range"] == '"v1"'
    assert list_files(cache) == {NAME}


@pytest.mark.parametrize(
    ("validator", "guard"),
    [("etag", '"v1"'), ("modified", "Mon, 01 Jan 2024 00:00:01 GMT"), ("weak", None), ("none", None)],
    ids=["ETag", "Last-Modified", "weak ETag", "no validator"],
)
@pytest.mark.parametrize("has_hash", [True, False], ids=["with a hash", "without a hash"])
def test_without_a_hash_only_bytes_of_a_known_version_are_resumed(
    host: Host, validator: str, guard: str | None, *, has_hash: bool
) -> None:
    host.validator = validator
    host.script = ["cut"]
    path = fetch(host.url + PATH, NAME, md5(host.content) if has_hash else None)
    assert path.read_bytes() == host.content
    assert host.ranges() == [None, f"bytes={len(host.content) // 2}-" if has_hash or guard else None]
    assert host.requests[1].headers.get("if-range") == guard


def test_a_file_of_two_versions_is_downloaded_again_from_the_start(
    host: Host, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.validator = "none"
    host.script = ["cut", "careless"]
    final = bytes(byte ^ 2 for byte in host.content)
    assert fetch(host.url + PATH, NAME, md5(final)).read_bytes() == final
    assert host.ranges() == [None, f"bytes={len(final) // 2}-", None]
    assert f"backbone: {NAME} arrived damaged in pieces; it is fetched once more from the start\n" in (
        capsys.readouterr().err
    )
    assert list_files(cache) == {NAME}


@pytest.mark.parametrize(
    "script", [["corrupt_cut"], ["unnamed_length_cut"]], ids=["other bytes", "cut without a length"]
)
def test_bytes_that_only_the_hash_shows_to_be_wrong_are_downloaded_again(host: Host, script: list[str]) -> None:
    host.script = script
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content


@pytest.mark.parametrize(
    "note",
    [None, "no json", "[]", '{"url": "http://elsewhere/file.h5", "validator": "x"}'],
    ids=["no note", "no JSON", "list", "another URL"],
)
def test_a_partial_file_of_unknown_version_is_resumed_only_with_a_hash(
    host: Host, cache: Path, note: str | None
) -> None:
    cache.mkdir()
    (cache / f"{NAME}.part").write_bytes(host.content[:1000])
    if note:
        (cache / f"{NAME}.part.json").write_text(note)
    fetch(host.url + PATH, NAME, None)
    (cache / f"{NAME}.part").write_bytes(host.content[:1000])
    (cache / NAME).unlink()
    fetch(host.url + PATH, NAME, md5(host.content))
    assert host.ranges() == [None, "bytes=1000-"]
    assert (cache / NAME).read_bytes() == host.content


def test_a_partial_file_that_is_longer_than_the_file_is_discarded(host: Host, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{NAME}.part").write_bytes(host.content + b"more")
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content
    assert host.ranges() == [f"bytes={len(host.content) + 4}-", None]


def test_a_killed_process_leaves_no_file_and_the_next_one_resumes(host: Host, cache: Path) -> None:
    host.script = ["gate"]
    half = len(host.content) // 2
    with start_fetch(host) as child:
        part = cache / f"{NAME}.part"
        wait_until(lambda: part.exists() and part.stat().st_size == half)
        child.kill()
        child.wait()
    assert not (cache / NAME).exists()
    fetch(host.url + PATH, NAME, md5(host.content))
    assert (cache / NAME).read_bytes() == host.content
    assert host.ranges() == [None, f"bytes={half}-"]


def test_two_processes_download_the_same_file_once(host: Host, cache: Path) -> None:
    host.script = ["gate"]
    with start_fetch(host) as first:
        wait_until(lambda: host.requests)
        with start_fetch(host) as second:
            assert second.stderr is not None
            assert second.stderr.readline() == f"backbone: waiting for another process that fetches {NAME}\n"
            host.gate.set()
            assert second.communicate()[1] == ""
        first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(host.requests) == 1
    assert (cache / NAME).read_bytes() == host.content
