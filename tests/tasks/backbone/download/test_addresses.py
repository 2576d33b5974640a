"""Addresses of weight files: mirrors, passwords, and texts that are no URL."""

from pathlib import Path

import pytest

from tasks.backbone.download.cache import fetch
from tasks.common.errors import GraftError
from tests.tasks.backbone.download.helpers import NAME, PATH, fetch_error, md5
from tests.tasks.backbone.download.hosts import Host


@pytest.mark.parametrize("base", ["", "/", "/gcs", "/gcs/"], ids=["no path", "root", "path", "path with a slash"])
def test_a_mirror_replaces_scheme_and_host(host: Host, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv("GRAFT_MIRROR", host.url.replace("//", "//user:secret@") + base)
    fetch(f"https://storage.googleapis.com{PATH}?download=1", NAME, md5(host.content))
    assert host.requests[0].path == f"{base.rstrip('/')}{PATH}?download=1"
    assert host.requests[0].headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="


def test_the_url_of_the_mirror_is_shown_without_its_password(
    host: Host,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("GRAFT_MIRROR", host.url.replace("//", "//user:secret@") + "/gcs")
    host.script = ["cut", "status 404"]
    message = fetch_error(GraftError, f"https://storage.googleapis.com{PATH}", None)
    assert message.startswith(f"cannot download {host.url}/gcs{PATH}: the server answered 404 Not Found. ")
    assert "secret" not in capsys.readouterr().err + caplog.text
    assert "secret" not in (cache / f"{NAME}.part.json").read_text()


@pytest.mark.parametrize(
    ("mirror", "shown"),
    [
        ("mirror", "'mirror'"),
        ("ftp://mirror/", "'ftp://mirror/'"),
        ("http://", "'http://'"),
        ("http://user:secret@mirror:port/", "'http://mirror:port/'"),
        ("http://user:se/cret@[mirror/", "'http://[mirror/'"),
        ("user:secret@mirror/", "'mirror/'"),
        ("http://mirror\n/", r"'http://mirror\n/'"),
    ],
    ids=["host alone", "ftp", "no host", "bad port", "bad host", "no scheme", "newline"],
)
def test_a_mirror_that_is_no_url_is_refused(monkeypatch: pytest.MonkeyPatch, mirror: str, shown: str) -> None:
    monkeypatch.setenv("GRAFT_MIRROR", mirror)
    message = f"GRAFT_MIRROR must be a URL such as https://host/path; found {shown}."
    assert fetch_error(GraftError, "https://host/a.h5", None) == message


@pytest.mark.parametrize("end", ["?token=1", "#part"], ids=["query", "fragment"])
def test_a_mirror_must_end_with_a_path(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setenv("GRAFT_MIRROR", f"http://user:secret@mirror/gcs{end}")
    message = f"GRAFT_MIRROR must end with a path, which paths are added to; found http://mirror/gcs{end}."
    assert fetch_error(GraftError, "https://host/a.h5", None) == message


def test_an_address_that_is_no_url_is_refused() -> None:
    message = "the address of the weights must be a URL such as https://host/path; found 'file:///etc/passwd'."
    assert fetch_error(GraftError, "file:///etc/passwd", None) == message
