"""Downloads, from a real HTTP server on loopback that serves and misbehaves."""

import errno
import hashlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import h5py
import httpx
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.backbone.download.cache import cache_folder, fetch, http
from tasks.common.errors import DownloadError, GraftError
from tests.tasks.backbone.hosts import Host, serving
from tests.tasks.conftest import ROOT, nobody

NAME = "base_notop.h5"
PATH = f"/keras/{NAME}"
SCRIPT = (
    "import sys; from tasks.backbone.download.cache import fetch; url, name, md5 = sys.argv[1:]; fetch(url, name, md5)"
)
PASSING = {
    "an error of the server": "status 500",
    "a server that is busy": "status 503 0",
    "a time-out that the server tells": "status 408 0",
    "a limit on requests": "status 429 0",
    "a connection that is closed in the middle": "cut",
    "a connection that is reset in the middle": "reset",
    "a server that starts over and is cut": "ignore_cut",
    "chunks without an end": "chunked_cut",
    "a new version, cut": "renew_cut",
    "a server that mixes versions": "careless",
    "a range that starts elsewhere": "range bytes {past}-{last}/{total}",
    "a range that does not fit its length": "range bytes {first}-{last}/{more}",
    "a range that ends early": "range bytes {first}-{first}/{total}",
    "a range of a file of unknown length": "range bytes {first}-{last}/*",
    "a range in words": "range all of it",
    "a range that is longer than it says": "long_range",
    "a range that is shorter than it says": "chunked_range less",
    "a range that is refused": "unsatisfiable",
}
STARTING_OVER = {"careless", "unsatisfiable", "long_range"} | {
    act for act in PASSING.values() if act.startswith("range")
}


def md5(content: bytes) -> str:
    """Return the MD5 of these bytes."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    """Return the SHA-256 of these bytes."""
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Make a small weight file of the kind that Keras publishes."""
    path = tmp_path_factory.mktemp("weights") / NAME
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv1"]
        group = file.create_group("conv1")
        group.attrs["weight_names"] = [b"conv1/kernel:0"]
        group.create_dataset(
            "conv1/kernel:0", data=np.random.default_rng(1).standard_normal((3, 3, 64, 512), np.float32)
        )
    return path.read_bytes()


@pytest.fixture
def host(weights: bytes) -> Iterator[Host]:
    with serving(weights) as host:
        yield host


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "weights"


@pytest.fixture(autouse=True)
def waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Point the cache to an empty folder, and note the seconds to wait without waiting."""
    for name in (
        "GRAFT_MIRROR",
        "GRAFT_OFFLINE",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "SSL_CERT_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # no authorities: to load the usual ones takes longer than a test
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


def remedy(place: Path) -> str:
    """Return what to do when the file cannot be had."""
    return (
        f"Put the file there by hand as {place}, set GRAFT_MIRROR to a host that has it, "
        "or set backbone.weights to starter, which works offline."
    )


def files(folder: Path) -> set[str]:
    """Return the names in a folder, but for the locks: they stay."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"} if folder.exists() else set()


def refusal(error: type[GraftError], url: str, digest: str | None) -> str:
    """Return the text of the error that fetching ends in."""
    with pytest.raises(GraftError) as caught:
        fetch(url, NAME, digest)
    assert type(caught.value) is error
    return str(caught.value)


# What arrives.


@pytest.mark.parametrize("digest", [md5, lambda content: sha256(content).upper()])
@pytest.mark.parametrize("act", ["good", "ignore", "chunked", "unnamed_length", "redirect /moved", "excess"])
def test_a_file_arrives_whole_however_it_is_sent(
    host: Host, cache: Path, act: str, digest: Callable[[bytes], str]
) -> None:
    host.script = [act]
    assert fetch(host.url + PATH, NAME, digest(host.content)) == cache / NAME
    assert (cache / NAME).read_bytes() == host.content
    assert files(cache) == {NAME}
    assert host.requests[0].path == PATH
    assert host.requests[0].headers["accept-encoding"] == "identity"


def test_a_file_that_arrived_is_used_without_network(host: Host) -> None:
    for _ in range(3):
        fetch(host.url + PATH, NAME, md5(host.content))
    assert len(host.requests) == 1


def test_a_file_is_on_the_disk_before_it_has_its_name(host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    monkeypatch.setattr("os.fsync", lambda _: seen.append(files(cache)))
    fetch(host.url + PATH, NAME, md5(host.content))
    assert seen == [{f"{NAME}.part", f"{NAME}.part.json"}]


def test_size_and_progress_are_told(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(host.url + PATH, NAME, md5(host.content))
    first, last = capsys.readouterr().err.splitlines()
    assert first == f"backbone: downloading {host.url}{PATH} (1.2 MB)"
    assert re.fullmatch(r"backbone: download: 2/2 MiB in \d\.\d s", last)


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize(("naming", "known"), [("etag", False), ("modified", True)], ids=["without a hash", "with one"])
def test_after_a_fault_that_passes_the_right_file_is_in_place(
    host: Host, cache: Path, waits: list[float], fault: str, naming: str, *, known: bool
) -> None:
    host.naming = naming
    host.script = ["cut", fault]
    renewed = fault in {"renew_cut", "careless"}
    final = bytes(byte ^ 2 for byte in host.content) if renewed else host.content
    path = fetch(host.url + PATH, NAME, md5(final) if known else None)
    assert path.read_bytes() == final
    assert files(cache) == ({NAME} if known else {NAME, f"{NAME}.sha256"})
    assert len(host.requests) == 3
    assert (host.ranges()[2] is None) == (fault in STARTING_OVER)
    assert waits == [2, 0 if fault in STARTING_OVER or fault.endswith(" 0") else 4]


@given(
    content=st.integers(1, 200_000).map(lambda size: np.random.default_rng(size).bytes(size)),
    faults=st.lists(st.sampled_from(sorted(PASSING.values())), max_size=http.TRIES - 1),
    naming=st.sampled_from(["etag", "modified", "weak", "none"]),
    known=st.booleans(),
)
@example(content=b"x", faults=["cut"] * 4, naming="etag", known=False)
@settings(max_examples=100)
def test_whatever_fewer_faults_than_tries_happen_the_file_arrives(
    content: bytes, faults: list[str], naming: str, *, known: bool
) -> None:
    if naming in {"weak", "none"}:  # nothing tells versions apart there but the hash, which has a test of its own
        faults = [fault for fault in faults if fault not in {"renew_cut", "careless"}]
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        serving(content, naming) as host,
    ):
        patch.setenv("GRAFT_CACHE", folder)
        host.script = list(faults)
        final = content
        for version in range(2, 2 + sum(fault in {"renew_cut", "careless"} for fault in faults)):
            final = bytes(byte ^ version for byte in final)
        assert fetch(host.url + PATH, NAME, md5(final) if known else None).read_bytes() == final
        assert len(host.requests) == len(faults) + 1


# Resuming.


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_download_goes_on_where_it_broke_off(host: Host, cache: Path, fault: str) -> None:
    host.script = [fault, "status 404"]
    told = refusal(GraftError, host.url + PATH, None)
    assert told.startswith(f"cannot download {host.url}{PATH}: the server answered 404 Not Found. ")
    assert files(cache) == {f"{NAME}.part", f"{NAME}.part.json"}
    arrived = (cache / f"{NAME}.part").stat().st_size
    assert 0 < arrived <= len(host.content) // 2
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content
    assert host.ranges() == [None, f"bytes={arrived}-", f"bytes={arrived}-"]
    assert host.requests[-1].headers["if-range"] == '"v1"'
    assert files(cache) == {NAME}


@pytest.mark.parametrize(
    ("naming", "guard"),
    [("etag", '"v1"'), ("modified", "Mon, 01 Jan 2024 00:00:01 GMT"), ("weak", None), ("none", None)],
)
@pytest.mark.parametrize("known", [True, False], ids=["with a hash", "without"])
def test_without_a_hash_only_bytes_of_a_named_version_are_gone_on_from(
    host: Host, naming: str, guard: str | None, *, known: bool
) -> None:
    host.naming = naming
    host.script = ["cut"]
    path = fetch(host.url + PATH, NAME, md5(host.content) if known else None)
    assert path.read_bytes() == host.content
    assert host.ranges() == [None, f"bytes={len(host.content) // 2}-" if known or guard else None]
    assert host.requests[1].headers.get("if-range") == guard


def test_a_file_of_two_versions_is_fetched_once_more_from_the_start(
    host: Host, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.naming = "none"
    host.script = ["cut", "careless"]
    final = bytes(byte ^ 2 for byte in host.content)
    assert fetch(host.url + PATH, NAME, md5(final)).read_bytes() == final
    assert host.ranges() == [None, f"bytes={len(final) // 2}-", None]
    assert f"backbone: {NAME} arrived damaged in pieces; it is fetched once more from the start\n" in (
        capsys.readouterr().err
    )
    assert files(cache) == {NAME}


@pytest.mark.parametrize("script", [["corrupt_cut"], ["unnamed_length_cut"]])
def test_bytes_that_only_the_hash_finds_wrong_are_fetched_once_more(host: Host, script: list[str]) -> None:
    host.script = script
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content


@pytest.mark.parametrize("note", [None, "no json", "[]", '{"url": "http://elsewhere/file.h5", "validator": "x"}'])
def test_leftovers_of_unknown_origin_are_used_only_when_a_hash_will_tell(
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


def test_leftovers_that_are_longer_than_the_file_are_thrown_away(host: Host, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{NAME}.part").write_bytes(host.content + b"more")
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content
    assert host.ranges() == [f"bytes={len(host.content) + 4}-", None]


def test_a_process_that_was_killed_leaves_no_file_and_the_next_one_goes_on(host: Host, cache: Path) -> None:
    host.script = ["gate"]
    half = len(host.content) // 2
    with process(host) as child:
        part = cache / f"{NAME}.part"
        wait_until(lambda: part.exists() and part.stat().st_size == half)
        child.kill()
        child.wait()
    assert not (cache / NAME).exists()
    fetch(host.url + PATH, NAME, md5(host.content))
    assert (cache / NAME).read_bytes() == host.content
    assert host.ranges() == [None, f"bytes={half}-"]


def test_two_processes_that_want_one_file_fetch_it_once(host: Host, cache: Path) -> None:
    host.script = ["gate"]
    with process(host) as first:
        wait_until(lambda: host.requests)
        with process(host) as second:
            assert second.stderr.readline() == f"backbone: waiting for another process that fetches {NAME}\n"
            host.gate.set()
            assert second.communicate() == (None, "")
        first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(host.requests) == 1
    assert (cache / NAME).read_bytes() == host.content


@contextmanager
def process(host: Host) -> Iterator[subprocess.Popen[str]]:
    """Start a Python of its own that fetches the file."""
    command = [sys.executable, "-c", SCRIPT, host.url + PATH, NAME, md5(host.content)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_until(true: Callable[[], object]) -> None:
    """Look again and again until something has happened in another process."""
    pause = threading.Event()
    for _ in range(6000):
        if true():
            return
        pause.wait(0.01)
    pytest.fail("it did not happen within a minute")


# What does not arrive.


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("status 500", "the server answered 500 Internal Server Error"),
        ("status 503", "the server answered 503 Service Unavailable"),
        ("status 408", "the server answered 408 Request Timeout"),
        ("status 429", "the server answered 429 Too Many Requests"),
        ("status 599", "the server answered 599"),
        ("ignore_cut", "peer closed connection without sending complete message body (received HALF, expected ALL)"),
        ("chunked_cut", "peer closed connection without sending complete message body (incomplete chunked read)"),
        ("silence", "nothing came for 0.2 s"),
    ],
)
def test_a_fault_that_stays_ends_in_one_line_that_tells_what_to_do(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float], act: str, reason: str
) -> None:
    monkeypatch.setattr(http, "TIMEOUT", httpx.Timeout(60, read=0.2) if act == "silence" else http.TIMEOUT)
    host.then = act
    told = refusal(DownloadError, host.url + PATH, md5(host.content))
    size = len(host.content)
    reason = reason.replace("HALF", f"{size // 2} bytes").replace("ALL", str(size))
    assert told == f"cannot download {host.url}{PATH}: {reason}, after 5 tries. {remedy(cache / NAME)}"
    assert not (cache / NAME).exists()
    assert len(host.requests) == 5
    assert waits == [2, 4, 8, 16]


def test_a_server_that_stalls_is_left_and_asked_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(http, "TIMEOUT", httpx.Timeout(60, read=0.5))
    host.script = ["stall"]
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content
    assert host.ranges() == [None, f"bytes={len(host.content) // 2}-"]
    assert "backbone: nothing came for 0.5 s; try 2 of 5 in 2 s\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7), ("0", 0), ("86400", 60), ("9" * 5000, 2), ("-1", 2), ("Mon, 01 Jan 2024 00:00:00 GMT", 2)],
)
@pytest.mark.parametrize("status", [("429", "Too Many Requests"), ("503", "Service Unavailable")])
def test_the_server_may_tell_how_long_to_wait_up_to_a_minute(
    host: Host,
    waits: list[float],
    capsys: pytest.CaptureFixture[str],
    status: tuple[str, str],
    retry_after: str,
    seconds: int,
) -> None:
    host.script = [f"status {status[0]} {retry_after}"]
    fetch(host.url + PATH, NAME, md5(host.content))
    assert waits == [seconds]
    told = f"backbone: the server answered {' '.join(status)}; try 2 of 5 in {seconds} s"
    assert capsys.readouterr().err.splitlines()[0] == told


@pytest.mark.parametrize(
    ("act", "digest", "reason"),
    [
        ("status 404", "0" * 32, "the server answered 404 Not Found"),
        ("status 403", "0" * 32, "the server answered 403 Forbidden"),
        ("status 401", None, "the server answered 401 Unauthorized"),
        ("status 416", None, "the server answered 416 Requested Range Not Satisfiable"),
        ("status 204", None, "the server answered 204 No Content"),
        ("status 206", None, "the server answered 206 Partial Content"),
        ("status 304", None, "the server answered 304 Not Modified"),
        ("gzip", "0" * 32, "the server sends it encoded ('gzip') though it was asked not to"),
        ("redirect /again", "0" * 32, "Exceeded maximum allowed redirects"),
        ("redirect ftp://a:b@c/d", "0" * 32, "Request URL has an unsupported protocol 'ftp://'"),
        ("redirect http://[::1", "0" * 32, "it is, or redirects to, an address that is not valid"),
        (f"redirect http://{'a' * 64}/", "0" * 32, "it is, or redirects to, an address that is not valid"),
        (
            "unnamed_length",
            None,
            "the server does not tell the file's length, so nothing could tell whether it is whole",
        ),
    ],
)
def test_a_refusal_is_no_passing_fault_and_not_tried_again(
    host: Host, cache: Path, waits: list[float], act: str, digest: str | None, reason: str
) -> None:
    host.then = act
    told = refusal(GraftError, host.url + PATH, digest)
    assert told == f"cannot download {host.url}{PATH}: {reason}. {remedy(cache / NAME)}"
    assert files(cache) == set()
    assert len(host.requests) == (11 if act == "redirect /again" else 1)
    assert waits == []


@pytest.mark.parametrize(
    ("source", "target", "refused"),
    [
        ("https://a/b", "http://user:secret@c/d", True),
        ("https://a/b", "https://c/d", False),
        ("https://a/b", "//c/d", False),
        ("https://a/b", "/c", False),
        ("http://a/b", "http://c/d", False),
        ("http://a/b", "https://c/d", False),
    ],
)
def test_a_redirect_from_https_to_http_is_refused(source: str, target: str, *, refused: bool) -> None:
    response = httpx.Response(302, headers={"Location": target}, request=httpx.Request("GET", source))
    if refused:
        with pytest.raises(http.LastingError) as caught:
            http.refuse_downgrade(response)
        assert str(caught.value) == "it redirects from https to http://c/d"
    else:
        http.refuse_downgrade(response)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.h5", "http://no-such-host.invalid/a.h5"])
def test_a_host_that_is_not_there_is_tried_again(
    cache: Path,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, *others: object, **named: object) -> object:  # the network may be slow to know of no host
        if host == "no-such-host.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *others, **named)

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    told = refusal(DownloadError, url.replace("//", "//user:secret@"), "0" * 32)
    assert re.fullmatch(
        rf"cannot download {url}: \[Errno -?\d+\] [\w ]+, after 5 tries. {re.escape(remedy(cache / NAME))}", told
    )
    assert waits == [2, 4, 8, 16]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("; ")[1] for line in lines] == [f"try {n} of 5 in {2 ** (n - 1)} s" for n in (2, 3, 4, 5)]
    assert not any("secret" in line for line in [told, *lines])


@pytest.mark.parametrize("script", [["corrupt"], ["cut", "corrupt", "corrupt"]], ids=["at once", "resumed"])
def test_a_damaged_file_is_not_kept(host: Host, cache: Path, script: list[str]) -> None:
    host.script = script
    told = refusal(DownloadError, host.url + PATH, md5(host.content))
    assert told == (
        f"{host.url}{PATH} arrived damaged: expected MD5 {md5(host.content)}, found {md5(host.content[::-1])}. "
        f"{remedy(cache / NAME)}"
    )
    assert files(cache) == set()
    assert host.script == []


def test_more_bytes_than_announced_are_not_taken(host: Host, cache: Path) -> None:
    host.script = ["cut", "chunked_range more"]
    told = refusal(GraftError, host.url + PATH, md5(host.content))
    missing = len(host.content) - len(host.content) // 2
    reason = f"the server sends more than the announced {missing:,} bytes"
    assert told == f"cannot download {host.url}{PATH}: {reason}. {remedy(cache / NAME)}"
    assert files(cache) == set()


def test_a_stream_without_end_is_left(host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST", 1000)
    host.script = ["chunked"]
    told = refusal(GraftError, host.url + PATH, None)
    reason = "the server sends more than a sensible 1,000 bytes"
    assert told == f"cannot download {host.url}{PATH}: {reason}. {remedy(cache / NAME)}"
    assert files(cache) == set()


# What is in the cache.


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "weights"
    monkeypatch.delenv("GRAFT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "graft" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "graft" / "weights"


def test_a_damaged_file_in_the_cache_is_replaced_only_by_the_right_one(
    host: Host, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(b"damaged")
    host.script = ["status 404"]
    refusal(GraftError, host.url + PATH, md5(host.content))
    assert capsys.readouterr().err == (
        f"backbone: {cache / NAME} is damaged (expected MD5 {md5(host.content)}, found {md5(b'damaged')}); "
        "it is fetched anew\n"
    )
    assert (cache / NAME).read_bytes() == b"damaged"
    fetch(host.url + PATH, NAME, md5(host.content))
    assert (cache / NAME).read_bytes() == host.content


def test_without_a_published_hash_a_file_is_pinned_when_it_is_first_fetched(
    host: Host, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pin = sha256(host.content)
    assert fetch(host.url + PATH, NAME, None).read_bytes() == host.content
    told = f"backbone: no hash is published for {NAME}: from now on it is held to SHA-256 {pin}"
    assert capsys.readouterr().err.splitlines()[-1] == told
    assert (cache / f"{NAME}.sha256").read_text() == f"{pin}  {NAME}\n"
    fetch(host.url + PATH, NAME, None)
    assert capsys.readouterr().err == ""
    assert len(host.requests) == 1


@pytest.mark.parametrize("offline", ["", "1"])
def test_a_pinned_file_that_changed_in_the_cache_is_refused(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch, offline: str
) -> None:
    fetch(host.url + PATH, NAME, None)
    (cache / NAME).write_bytes(b"changed")
    monkeypatch.setenv("GRAFT_OFFLINE", offline)
    assert refusal(GraftError, host.url + PATH, None) == (
        f"{cache / NAME} has SHA-256 {sha256(b'changed')}, but had {sha256(host.content)} when it was first seen. "
        f"If the change is wanted, delete {cache / NAME}.sha256; if not, delete {cache / NAME}, and it is fetched anew."
    )
    assert (cache / NAME).read_bytes() == b"changed"
    (cache / f"{NAME}.sha256").unlink()
    assert fetch(host.url + PATH, NAME, None).read_bytes() == b"changed"
    assert (cache / f"{NAME}.sha256").read_text() == f"{sha256(b'changed')}  {NAME}\n"


@pytest.mark.parametrize("script", [[], ["cut"]], ids=["at once", "resumed"])
def test_a_later_download_is_held_to_the_pin(host: Host, cache: Path, script: list[str]) -> None:
    before = sha256(host.content)
    fetch(host.url + PATH, NAME, None)
    (cache / NAME).unlink()
    host.renew()
    host.script = script
    assert refusal(GraftError, host.url + PATH, None) == (
        f"{host.url}{PATH} has SHA-256 {sha256(host.content)}, but {NAME} had {before} when it was first seen. "
        f"If the change is wanted, delete {cache / NAME}.sha256."
    )
    assert files(cache) == {f"{NAME}.sha256"}
    (cache / f"{NAME}.sha256").unlink()
    assert fetch(host.url + PATH, NAME, None).read_bytes() == host.content


def test_a_file_put_there_by_hand_is_pinned_at_first_use(cache: Path) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(b"by hand")
    assert fetch("https://nowhere.invalid/a.h5", NAME, None) == cache / NAME
    assert (cache / f"{NAME}.sha256").read_text() == f"{sha256(b'by hand')}  {NAME}\n"


@pytest.mark.parametrize("text", ["", "nonsense\n", "a" * 63, "\xff"])
def test_a_pin_that_is_none_is_refused(cache: Path, text: str) -> None:
    cache.mkdir()
    (cache / f"{NAME}.sha256").write_text(text, encoding="latin-1")
    told = f"{cache / NAME}.sha256 holds no SHA-256. Delete it, and {NAME} is pinned anew."
    assert refusal(GraftError, "https://nowhere.invalid/a.h5", None) == told


def test_a_published_hash_goes_before_a_pin(host: Host, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{NAME}.sha256").write_text("0" * 64)
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content


# What the user sets.


@pytest.mark.parametrize("value", ["1", "true", "yes"])
@pytest.mark.parametrize("digest", [None, "0" * 32])
def test_offline_a_missing_file_is_named_and_nothing_is_asked(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch, value: str, digest: str | None
) -> None:
    monkeypatch.setenv("GRAFT_OFFLINE", value)
    assert refusal(GraftError, host.url.replace("//", "//user:secret@") + PATH, digest) == (
        f"{cache / NAME} is missing, and GRAFT_OFFLINE forbids to download it. "
        f"Put {host.url}{PATH} there by hand, or unset GRAFT_OFFLINE."
    )
    assert host.requests == []


def test_offline_a_damaged_file_is_refused_and_a_right_one_is_used(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_OFFLINE", "1")
    cache.mkdir()
    (cache / NAME).write_bytes(b"damaged")
    assert refusal(GraftError, host.url + PATH, md5(host.content)) == (
        f"{cache / NAME} is damaged (expected MD5 {md5(host.content)}, found {md5(b'damaged')}), "
        f"and GRAFT_OFFLINE forbids to download it. Put {host.url}{PATH} there by hand, or unset GRAFT_OFFLINE."
    )
    (cache / NAME).write_bytes(host.content)
    assert fetch(host.url + PATH, NAME, md5(host.content)) == cache / NAME
    assert host.requests == []


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
def test_offline_may_be_switched_off(host: Host, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GRAFT_OFFLINE", value)
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content


@pytest.mark.parametrize("base", ["", "/", "/gcs", "/gcs/"])
def test_a_mirror_takes_the_place_of_scheme_and_host(host: Host, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv("GRAFT_MIRROR", host.url.replace("//", "//user:secret@") + base)
    fetch(f"https://storage.googleapis.com{PATH}?download=1", NAME, md5(host.content))
    assert host.requests[0].path == f"{base.rstrip('/')}{PATH}?download=1"
    assert host.requests[0].headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="


def test_the_url_of_the_mirror_is_told_without_its_password(
    host: Host,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("GRAFT_MIRROR", host.url.replace("//", "//user:secret@") + "/gcs")
    host.script = ["cut", "status 404"]
    told = refusal(GraftError, f"https://storage.googleapis.com{PATH}", None)
    assert told.startswith(f"cannot download {host.url}/gcs{PATH}: the server answered 404 Not Found. ")
    assert "secret" not in capsys.readouterr().err + caplog.text
    assert "secret" not in (cache / f"{NAME}.part.json").read_text()


@pytest.mark.parametrize(
    ("mirror", "found"),
    [
        ("mirror", "'mirror'"),
        ("ftp://mirror/", "'ftp://mirror/'"),
        ("http://", "'http://'"),
        ("http://user:secret@mirror:port/", "'http://mirror:port/'"),
        ("http://user:se/cret@[mirror/", "'http://[mirror/'"),
        ("user:secret@mirror/", "'mirror/'"),
        ("http://mirror\n/", r"'http://mirror\n/'"),
    ],
)
def test_a_mirror_that_is_no_url_is_refused(monkeypatch: pytest.MonkeyPatch, mirror: str, found: str) -> None:
    monkeypatch.setenv("GRAFT_MIRROR", mirror)
    told = f"GRAFT_MIRROR must be a URL such as https://host/path; found {found}."
    assert refusal(GraftError, "https://host/a.h5", None) == told


@pytest.mark.parametrize("end", ["?token=1", "#part"])
def test_a_mirror_must_end_with_a_path(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setenv("GRAFT_MIRROR", f"http://user:secret@mirror/gcs{end}")
    told = f"GRAFT_MIRROR must end with a path, which paths are added to; found http://mirror/gcs{end}."
    assert refusal(GraftError, "https://host/a.h5", None) == told


def test_an_address_that_is_no_url_is_refused() -> None:
    told = "the address of the weights must be a URL such as https://host/path; found 'file:///etc/passwd'."
    assert refusal(GraftError, "file:///etc/passwd", None) == told


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../a", "a\\b", "a\0b"])
def test_a_name_that_leaves_the_folder_is_a_defect(name: str) -> None:
    with pytest.raises(ValueError, match="is no plain file name"):
        fetch("https://host/a.h5", name, None)


@pytest.mark.parametrize("digest", ["", "0" * 31, "0" * 40, "g" * 32, "0" * 32 + "\n"])
def test_a_hash_of_no_known_kind_is_a_defect(digest: str) -> None:
    with pytest.raises(ValueError, match="is neither an MD5 nor a SHA-256"):
        fetch("https://host/a.h5", NAME, digest)


# What the disk does.


def unusable(cache: Path, code: int) -> str:
    """Return the message about a folder that cannot be written to."""
    return (
        f"cannot keep {NAME} in {cache}: {os.strerror(code)}. "
        "Make room and give write access there, or set GRAFT_CACHE to another folder."
    )


def test_a_file_that_does_not_fit_on_the_disk_is_not_begun(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    assert refusal(GraftError, host.url + PATH, md5(host.content)) == (
        f"the file needs 1.2 MB, but {cache} has 1.0 MB free. "
        "Make room there, or set GRAFT_CACHE to a folder on a larger disk."
    )
    assert (cache / f"{NAME}.part").stat().st_size == 0


def test_a_disk_that_fills_up_is_told_in_one_line(host: Host, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{NAME}.part").symlink_to("/dev/full")
    assert refusal(GraftError, host.url + PATH, md5(host.content)) == unusable(cache, errno.ENOSPC)
    assert not (cache / NAME).exists()


def test_a_file_in_the_place_of_the_folder_is_told_in_one_line(host: Host, cache: Path) -> None:
    cache.touch()
    assert refusal(GraftError, host.url + PATH, md5(host.content)) == unusable(cache, errno.EEXIST)


def test_a_folder_in_the_place_of_the_file_is_told_in_one_line(host: Host, cache: Path) -> None:
    (cache / NAME).mkdir(parents=True)
    assert refusal(GraftError, host.url + PATH, md5(host.content)) == unusable(cache, errno.EISDIR)


def test_in_a_folder_that_may_only_be_read_a_cached_file_is_used_and_a_missing_one_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as shared:  # outside pytest's own folder, which other users may not enter
        monkeypatch.setenv("GRAFT_CACHE", shared)
        cache = cache_folder()
        fetch(host.url + PATH, NAME, md5(host.content))
        Path(shared).chmod(0o755)
        cache.chmod(0o555)
        with nobody():
            assert fetch(host.url + PATH, NAME, md5(host.content)) == cache / NAME
            with pytest.raises(GraftError) as caught:
                fetch(host.url + PATH, "other.h5", md5(host.content))
        cache.chmod(0o755)
    assert str(caught.value) == unusable(cache, errno.EACCES).replace(NAME, "other.h5")
