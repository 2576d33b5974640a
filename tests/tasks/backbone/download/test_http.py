"""Transfers from a real HTTP server on loopback that sends files in many ways and has many faults."""

import re
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.backbone.download.cache import fetch
from tasks.backbone.download.http import MAX_ATTEMPTS, download_file
from tasks.backbone.download.partial_file import PartialFile
from tasks.backbone.download.responses import PermanentError, refuse_downgrade
from tasks.common.errors import DownloadError, GraftError
from tests.tasks.backbone.download.helpers import NAME, PATH, fetch_error, list_files, md5, remedy, sha256
from tests.tasks.backbone.download.hosts import Host, serve

TRANSIENT_FAULTS = {
    "an error of the server": "status 500",
    "a server that is busy": "status 503 0",
    "a time-out of the server": "status 408 0",
    "a limit on requests": "status 429 0",
    "closed in the middle": "cut",
    "reset in the middle": "reset",
    "restarted and cut": "ignore_cut",
    "chunks without an end": "chunked_cut",
    "a new version, cut": "renew_cut",
    "a server that mixes versions": "careless",
    "a range that starts elsewhere": "range bytes {past}-{last}/{total}",
    "a range that does not fit its length": "range bytes {first}-{last}/{more}",
    "a range that ends early": "range bytes {first}-{first}/{total}",
    "a range of a file of unknown length": "range bytes {first}-{last}/*",
    "a malformed range": "range all of it",
    "a range that is longer than announced": "long_range",
    "a range that is shorter than announced": "chunked_range less",
    "a range that is refused": "unsatisfiable",
}
RESTARTING_FAULTS = {"careless", "unsatisfiable", "long_range"} | {
    act for act in TRANSIENT_FAULTS.values() if act.startswith("range")
}


@pytest.mark.parametrize("digest", [md5, lambda content: sha256(content).upper()], ids=["MD5", "SHA-256"])
@pytest.mark.parametrize("act", ["good", "ignore", "chunked", "unnamed_length", "redirect /moved", "excess"])
def test_a_file_arrives_complete_in_whatever_way_it_is_sent(
    host: Host, cache: Path, act: str, digest: Callable[[bytes], str]
) -> None:
    host.script = [act]
    assert fetch(host.url + PATH, NAME, digest(host.content)) == cache / NAME
    assert (cache / NAME).read_bytes() == host.content
    assert list_files(cache) == {NAME}
    assert host.requests[0].path == PATH
    assert host.requests[0].headers["accept-encoding"] == "identity"


def test_a_cached_file_is_used_without_a_request(host: Host) -> None:
    for _ in range(3):
        fetch(host.url + PATH, NAME, md5(host.content))
    assert len(host.requests) == 1


def test_a_file_is_flushed_to_the_disk_before_it_gets_its_name(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    monkeypatch.setattr("os.fsync", lambda _: seen.append(list_files(cache)))
    fetch(host.url + PATH, NAME, md5(host.content))
    assert seen == [{f"{NAME}.part", f"{NAME}.part.json"}]


def test_size_and_progress_are_shown(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(host.url + PATH, NAME, md5(host.content))
    first, last = capsys.readouterr().err.splitlines()
    assert first == f"backbone: downloading {host.url}{PATH} (1.2 MB)"
    assert re.fullmatch(r"backbone: download: 2/2 MiB in \d\.\d s", last)


@pytest.mark.parametrize("fault", TRANSIENT_FAULTS.values(), ids=TRANSIENT_FAULTS)
@pytest.mark.parametrize(
    ("validator", "has_hash"), [("etag", False), ("modified", True)], ids=["without a hash", "with one"]
)
def test_after_a_transient_fault_the_right_file_is_in_place(
    host: Host, cache: Path, delays: list[float], fault: str, validator: str, *, has_hash: bool
) -> None:
    host.validator = validator
    host.script = ["cut", fault]
    renewed = fault in {"renew_cut", "careless"}
    final = bytes(byte ^ 2 for byte in host.content) if renewed else host.content
    path = fetch(host.url + PATH, NAME, md5(final) if has_hash else None)
    assert path.read_bytes() == final
    assert list_files(cache) == ({NAME} if has_hash else {NAME, f"{NAME}.sha256"})
    assert len(host.requests) == 3
    assert (host.ranges()[2] is None) == (fault in RESTARTING_FAULTS)
    assert delays == [2, 0 if fault in RESTARTING_FAULTS or fault.endswith(" 0") else 4]


@given(
    content=st.integers(1, 200_000).map(lambda size: np.random.default_rng(size).bytes(size)),
    faults=st.lists(st.sampled_from(sorted(TRANSIENT_FAULTS.values())), max_size=MAX_ATTEMPTS - 1),
    validator=st.sampled_from(["etag", "modified", "weak", "none"]),
    has_hash=st.booleans(),
)
@example(content=b"x", faults=["cut"] * 4, validator="etag", has_hash=False)
@settings(max_examples=100)
def test_with_fewer_faults_than_attempts_the_file_arrives(
    content: bytes, faults: list[str], validator: str, *, has_hash: bool
) -> None:
    if validator in {"weak", "none"}:  # nothing tells versions apart there but the hash, which has a test of its own
        faults = [fault for fault in faults if fault not in {"renew_cut", "careless"}]
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        serve(content, validator) as host,
    ):
        patch.setenv("GRAFT_CACHE", folder)
        host.script = list(faults)
        final = content
        for version in range(2, 2 + sum(fault in {"renew_cut", "careless"} for fault in faults)):
            final = bytes(byte ^ version for byte in final)
        assert fetch(host.url + PATH, NAME, md5(final) if has_hash else None).read_bytes() == final
        assert len(host.requests) == len(faults) + 1


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
    ],
    ids=["status 500", "status 503", "status 408", "status 429", "status 599", "cut", "cut in chunks"],
)
def test_a_lasting_fault_ends_in_one_line_with_the_remedy(
    host: Host, cache: Path, delays: list[float], act: str, reason: str
) -> None:
    host.then = act
    message = fetch_error(DownloadError, host.url + PATH, md5(host.content))
    size = len(host.content)
    reason = reason.replace("HALF", f"{size // 2} bytes").replace("ALL", str(size))
    assert message == f"cannot download {host.url}{PATH}: {reason}, after 5 tries. {remedy(cache / NAME)}"
    assert not (cache / NAME).exists()
    assert len(host.requests) == 5
    assert delays == [2, 4, 8, 16]


def test_a_silent_server_is_left_after_the_timeout(host: Host, tmp_path: Path, delays: list[float]) -> None:
    host.then = "silence"
    partial = PartialFile(tmp_path / "file.part")
    with pytest.raises(DownloadError) as caught:
        download_file(
            httpx.URL(host.url + PATH), partial, "Remedy.", has_hash=True, timeout=httpx.Timeout(60, read=0.05)
        )
    assert str(caught.value) == f"cannot download {host.url}{PATH}: nothing came for 0.05 s, after 5 tries. Remedy."
    assert delays == [2, 4, 8, 16]


def test_a_stalled_download_is_resumed_after_the_timeout(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.script = ["stall"]
    partial = PartialFile(tmp_path / "file.part")
    timeout = httpx.Timeout(60, read=0.5)
    assert not download_file(httpx.URL(host.url + PATH), partial, "Remedy.", has_hash=True, timeout=timeout)
    assert partial.path.read_bytes() == host.content
    assert host.ranges()[0] is None
    # A busy machine may time out more than once.
    assert set(host.ranges()[1:]) == {f"bytes={len(host.content) // 2}-"}
    assert "backbone: nothing came for 0.5 s; try 2 of 5 in 2 s\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7), ("0", 0), ("86400", 60), ("9" * 5000, 2), ("-1", 2), ("Mon, 01 Jan 2024 00:00:00 GMT", 2)],
    ids=["seconds", "none", "a day", "too many digits", "negative", "date"],
)
@pytest.mark.parametrize("status", [("429", "Too Many Requests"), ("503", "Service Unavailable")], ids=["429", "503"])
def test_the_server_sets_the_delay_up_to_a_minute(
    host: Host,
    delays: list[float],
    capsys: pytest.CaptureFixture[str],
    status: tuple[str, str],
    retry_after: str,
    seconds: int,
) -> None:
    host.script = [f"status {status[0]} {retry_after}"]
    fetch(host.url + PATH, NAME, md5(host.content))
    assert delays == [seconds]
    message = f"backbone: the server answered {' '.join(status)}; try 2 of 5 in {seconds} s"
    assert capsys.readouterr().err.splitlines()[0] == message


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
    ids=[
        *("status 404", "status 403", "status 401", "status 416", "status 204", "status 206", "status 304", "encoded"),
        *("endless redirect", "redirect to ftp", "redirect to no address", "redirect to a long label", "no length"),
    ],
)
def test_a_permanent_fault_is_not_tried_again(
    host: Host, cache: Path, delays: list[float], act: str, digest: str | None, reason: str
) -> None:
    host.then = act
    message = fetch_error(GraftError, host.url + PATH, digest)
    assert message == f"cannot download {host.url}{PATH}: {reason}. {remedy(cache / NAME)}"
    assert list_files(cache) == set()
    assert len(host.requests) == (11 if act == "redirect /again" else 1)
    assert delays == []


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
    ids=["https to http", "https to https", "same scheme", "same host", "http to http", "http to https"],
)
def test_a_redirect_from_https_to_http_is_refused(source: str, target: str, *, refused: bool) -> None:
    response = httpx.Response(302, headers={"Location": target}, request=httpx.Request("GET", source))
    if refused:
        with pytest.raises(PermanentError) as caught:
            refuse_downgrade(response)
        assert str(caught.value) == "it redirects from https to http://c/d"
    else:
        refuse_downgrade(response)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/a.h5", "http://no-such-host.invalid/a.h5"], ids=["refused", "unknown"]
)
def test_an_unreachable_host_is_tried_again(
    cache: Path,
    delays: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **options: Any) -> Any:  # a real look-up of an unknown host may be slow
        if host == "no-such-host.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *arguments, **options)

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    message = fetch_error(DownloadError, url.replace("//", "//user:secret@"), "0" * 32)
    assert re.fullmatch(
        rf"cannot download {url}: \[Errno -?\d+\] [\w ]+, after 5 tries. {re.escape(remedy(cache / NAME))}", message
    )
    assert delays == [2, 4, 8, 16]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("; ")[1] for line in lines] == [f"try {n} of 5 in {2 ** (n - 1)} s" for n in (2, 3, 4, 5)]
    assert not any("secret" in line for line in [message, *lines])


@pytest.mark.parametrize("script", [["corrupt"], ["cut", "corrupt", "corrupt"]], ids=["at once", "resumed"])
def test_a_damaged_file_is_not_kept(host: Host, cache: Path, script: list[str]) -> None:
    host.script = script
    message = fetch_error(DownloadError, host.url + PATH, md5(host.content))
    assert message == (
        f"{host.url}{PATH} arrived damaged: expected MD5 {md5(host.content)}, found {md5(host.content[::-1])}. "
        f"{remedy(cache / NAME)}"
    )
    assert list_files(cache) == set()
    assert host.script == []


def test_more_bytes_than_announced_are_refused(host: Host, cache: Path) -> None:
    host.script = ["cut", "chunked_range more"]
    message = fetch_error(GraftError, host.url + PATH, md5(host.content))
    missing = len(host.content) - len(host.content) // 2
    reason = f"the server sends more than the announced {missing:,} bytes"
    assert message == f"cannot download {host.url}{PATH}: {reason}. {remedy(cache / NAME)}"
    assert list_files(cache) == set()


def test_a_body_without_a_sensible_end_is_refused(host: Host, tmp_path: Path) -> None:
    host.script = ["chunked"]
    partial = PartialFile(tmp_path / "file.part")
    with pytest.raises(GraftError) as caught:
        download_file(httpx.URL(host.url + PATH), partial, "Remedy.", has_hash=False, max_bytes=1000)
    assert str(caught.value) == (
        f"cannot download {host.url}{PATH}: the server sends more than a sensible 1,000 bytes. Remedy."
    )
    assert list_files(tmp_path) == set()
