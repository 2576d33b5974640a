"""The cache of downloads: hashes, pins, offline use, and disks that cannot be used."""

import errno
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.backbone.download.cache import fetch, weights_folder
from tasks.common.errors import GraftError
from tests.tasks.backbone.download.helpers import NAME, PATH, fetch_error, list_files, md5, sha256
from tests.tasks.backbone.download.hosts import Host
from tests.tasks.conftest import nobody


def test_the_cache_lies_where_the_user_sets_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert weights_folder() == tmp_path / "weights"
    monkeypatch.delenv("GRAFT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert weights_folder() == tmp_path / "xdg" / "graft" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights_folder() == Path.home() / ".cache" / "graft" / "weights"


def test_a_damaged_file_in_the_cache_is_replaced_only_by_the_right_one(
    host: Host, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(b"damaged")
    host.script = ["status 404"]
    fetch_error(GraftError, host.url + PATH, md5(host.content))
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
    message = f"backbone: no hash is published for {NAME}: from now on it is held to SHA-256 {pin}"
    assert capsys.readouterr().err.splitlines()[-1] == message
    assert (cache / f"{NAME}.sha256").read_text() == f"{pin}  {NAME}\n"
    fetch(host.url + PATH, NAME, None)
    assert capsys.readouterr().err == ""
    assert len(host.requests) == 1


@pytest.mark.parametrize("offline", ["", "1"], ids=["online", "offline"])
def test_a_pinned_file_that_changed_in_the_cache_is_refused(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch, offline: str
) -> None:
    fetch(host.url + PATH, NAME, None)
    (cache / NAME).write_bytes(b"changed")
    monkeypatch.setenv("GRAFT_OFFLINE", offline)
    assert fetch_error(GraftError, host.url + PATH, None) == (
        f"{cache / NAME} has SHA-256 {sha256(b'changed')}, but had {sha256(host.content)} when it was first seen. "
        f"If the change is wanted, delete {cache / NAME}.sha256; if not, delete {cache / NAME}, and it is fetched anew."
    )
    assert (cache / NAME).read_bytes() == b"changed"
    (cache / f"{NAME}.sha256").unlink()
    assert fetch(host.url + PATH, NAME, None).read_bytes() == b"changed"
    assert (cache / f"{NAME}.sha256").read_text() == f"{sha256(b'changed')}  {NAME}\n"


@pytest.mark.parametrize("script", [[], ["cut"]], ids=["at once", "resumed"])
def test_a_later_download_must_match_the_pin(host: Host, cache: Path, script: list[str]) -> None:
    before = sha256(host.content)
    fetch(host.url + PATH, NAME, None)
    (cache / NAME).unlink()
    host.renew()
    host.script = script
    assert fetch_error(GraftError, host.url + PATH, None) == (
        f"{host.url}{PATH} has SHA-256 {sha256(host.content)}, but {NAME} had {before} when it was first seen. "
        f"If the change is wanted, delete {cache / NAME}.sha256."
    )
    assert list_files(cache) == {f"{NAME}.sha256"}
    (cache / f"{NAME}.sha256").unlink()
    assert fetch(host.url + PATH, NAME, None).read_bytes() == host.content


def test_a_file_that_the_user_put_into_the_cache_is_pinned_at_first_use(cache: Path) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(b"by hand")
    assert fetch("https://nowhere.invalid/a.h5", NAME, None) == cache / NAME
    assert (cache / f"{NAME}.sha256").read_text() == f"{sha256(b'by hand')}  {NAME}\n"


@pytest.mark.parametrize("text", ["", "nonsense\n", "a" * 63, "\xff"], ids=["empty", "words", "too short", "no UTF-8"])
def test_a_pin_without_a_sha256_is_refused(cache: Path, text: str) -> None:
    cache.mkdir()
    (cache / f"{NAME}.sha256").write_text(text, encoding="latin-1")
    message = f"{cache / NAME}.sha256 holds no SHA-256. Delete it, and {NAME} is pinned anew."
    assert fetch_error(GraftError, "https://nowhere.invalid/a.h5", None) == message


def test_a_published_hash_takes_precedence_over_a_pin(host: Host, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{NAME}.sha256").write_text("0" * 64)
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content


@pytest.mark.parametrize("value", ["1", "true", "yes"])
@pytest.mark.parametrize("digest", [None, "0" * 32], ids=["without a hash", "with a hash"])
def test_offline_a_missing_file_is_named_without_a_request(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch, value: str, digest: str | None
) -> None:
    monkeypatch.setenv("GRAFT_OFFLINE", value)
    assert fetch_error(GraftError, host.url.replace("//", "//user:secret@") + PATH, digest) == (
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
    assert fetch_error(GraftError, host.url + PATH, md5(host.content)) == (
        f"{cache / NAME} is damaged (expected MD5 {md5(host.content)}, found {md5(b'damaged')}), "
        f"and GRAFT_OFFLINE forbids to download it. Put {host.url}{PATH} there by hand, or unset GRAFT_OFFLINE."
    )
    (cache / NAME).write_bytes(host.content)
    assert fetch(host.url + PATH, NAME, md5(host.content)) == cache / NAME
    assert host.requests == []


@pytest.mark.parametrize("value", ["", "0", "false", "False"], ids=repr)
def test_offline_may_be_switched_off(host: Host, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GRAFT_OFFLINE", value)
    assert fetch(host.url + PATH, NAME, md5(host.content)).read_bytes() == host.content


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../a", "a\\b", "a\0b"], ids=repr)
def test_a_name_that_leaves_the_folder_is_a_defect(name: str) -> None:
    with pytest.raises(ValueError, match="is no plain file name"):
        fetch("https://host/a.h5", name, None)


@pytest.mark.parametrize(
    "digest",
    ["", "0" * 31, "0" * 40, "g" * 32, "0" * 32 + "\n"],
    ids=["empty", "too short", "SHA-1", "no hex", "newline"],
)
def test_a_hash_of_no_known_kind_is_a_defect(digest: str) -> None:
    with pytest.raises(ValueError, match="is neither an MD5 nor a SHA-256"):
        fetch("https://host/a.h5", NAME, digest)


def unusable_folder(cache: Path, code: int) -> str:
    """Return the error about a folder that cannot be written to."""
    return (
        f"cannot keep {NAME} in {cache}: {os.strerror(code)}. "
        "Make room and give write access there, or set GRAFT_CACHE to another folder."
    )


def test_a_file_that_does_not_fit_on_the_disk_is_not_downloaded(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    assert fetch_error(GraftError, host.url + PATH, md5(host.content)) == (
        f"the file needs 1.2 MB, but {cache} has 1.0 MB free. "
        "Make room there, or set GRAFT_CACHE to a folder on a larger disk."
    )
    assert (cache / f"{NAME}.part").stat().st_size == 0


def test_a_disk_that_fills_up_is_reported_in_one_line(host: Host, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{NAME}.part").symlink_to("/dev/full")
    assert fetch_error(GraftError, host.url + PATH, md5(host.content)) == unusable_folder(cache, errno.ENOSPC)
    assert not (cache / NAME).exists()


def test_a_file_instead_of_the_cache_folder_is_reported_in_one_line(host: Host, cache: Path) -> None:
    cache.touch()
    assert fetch_error(GraftError, host.url + PATH, md5(host.content)) == unusable_folder(cache, errno.EEXIST)


def test_a_folder_instead_of_the_cached_file_is_reported_in_one_line(host: Host, cache: Path) -> None:
    (cache / NAME).mkdir(parents=True)
    assert fetch_error(GraftError, host.url + PATH, md5(host.content)) == unusable_folder(cache, errno.EISDIR)


def test_in_a_read_only_cache_a_cached_file_is_used_and_a_missing_one_is_reported(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as shared:  # outside pytest's own folder, which other users may not enter
        monkeypatch.setenv("GRAFT_CACHE", shared)
        cache = weights_folder()
        fetch(host.url + PATH, NAME, md5(host.content))
        Path(shared).chmod(0o755)
        cache.chmod(0o555)
        with nobody():
            assert fetch(host.url + PATH, NAME, md5(host.content)) == cache / NAME
            with pytest.raises(GraftError) as caught:
                fetch(host.url + PATH, "other.h5", md5(host.content))
        cache.chmod(0o755)
    assert str(caught.value) == unusable_folder(cache, errno.EACCES).replace(NAME, "other.h5")
