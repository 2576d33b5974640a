"""Pretrained weight files: in the cache and held to their hash, or not there at all."""

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from tasks.backbone.download.http import discard, download, without_password
from tasks.common.errors import DownloadError, GraftError
from tasks.common.files import atomic_file, cache_folder
from tasks.common.progress import say

KINDS = {32: "MD5", 64: "SHA-256"}
UNUSABLE = {
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EFBIG, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOSPC,
    errno.ENOTDIR, errno.EPERM, errno.EROFS,
}  # fmt: skip


def weights_folder() -> Path:
    """Return where downloaded weights are kept."""
    return cache_folder() / "weights"


def fetch(url: str, name: str, digest: str | None, begins: bytes = b"") -> Path:
    """Return the file `name` of the cache folder, whole and held to its digest; download it if it is not there.

    `digest` is an MD5 or a SHA-256 in hex. None: no hash was published, and the file is held to the SHA-256 that it had
    when it was first seen, which `<name>.sha256` beside it keeps; `begins` is how it must begin to be trusted then, so
    that no login page of a network in between is taken for it.
    Raises DownloadError when the file cannot be had now, GraftError when it cannot be had at all.
    """
    if name in {"", ".", ".."} or set(name) & set("/\\\0"):
        message = f"{name!r} is no plain file name"
        raise ValueError(message)
    digest = digest and digest.lower()
    if digest is not None and not re.fullmatch("[0-9a-f]{32}|[0-9a-f]{64}", digest):
        message = f"{digest!r} is neither an MD5 nor a SHA-256"
        raise ValueError(message)
    path = weights_folder() / name
    try:
        expected = digest or _pinned(path)
        # Before the lock: the cache may be a shared folder that this user can only read.
        if not (expected and path.is_file() and _hash(path, expected) == expected):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path):
                _settle(url, path, digest, begins)
    except OSError as error:
        if error.errno not in UNUSABLE:
            raise
        message = (
            f"cannot keep {name} in {path.parent}: {error.strerror}. "
            "Make room and give write access there, or set GRAFT_CACHE to another folder."
        )
        raise GraftError(message) from error
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of that file; the kernel lets go of it when a process is killed."""
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"backbone: waiting for another process that fetches {path.name}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _settle(url: str, path: Path, digest: str | None, begins: bytes) -> None:
    """Make the file right: accept the one that is there, or put a new one in its place."""
    expected = digest or _pinned(path)
    if path.is_file():
        found = _hash(path, expected)
        if expected is None:
            _pin(path, path, found, begins)
            return
        if found == expected:  # another process brought it while this one waited
            return
        if digest is None:
            message = (
                f"{path} has SHA-256 {found}, but had {expected} when it was first seen. If the change is wanted, "
                f"delete {_pin_file(path)}; if not, delete {path}, and it is fetched anew."
            )
            raise GraftError(message)
        state = f"is damaged (expected {KINDS[len(expected)]} {expected}, found {found})"
    else:
        state = "is missing"
    address = _address(url)
    if os.environ.get("GRAFT_OFFLINE", "").lower() not in {"", "0", "false"}:
        message = (
            f"{path} {state}, and GRAFT_OFFLINE forbids to download it. "
            f"Put {without_password(address)} there by hand, or unset GRAFT_OFFLINE."
        )
        raise GraftError(message)
    if path.is_file():
        say(f"backbone: {path} {state}; it is fetched anew")
    _bring(address, path, digest, expected, begins)


def _bring(url: httpx.URL, path: Path, digest: str | None, expected: str | None, begins: bytes) -> None:
    """Download the file beside its place, hold it to the expected hash, then put it there."""
    part = path.with_name(f"{path.name}.part")
    remedy = (
        f"Put the file there by hand as {path}, set GRAFT_MIRROR to a host that has it, "
        "or set backbone.weights to starter, which works offline."
    )
    of_one_piece = download(url, part, remedy, checked=expected is not None)
    found = _hash(part, expected)
    if expected not in {None, found} and not of_one_piece:  # bytes of two versions, or an end that came too early
        discard(part)
        say(f"backbone: {path.name} arrived damaged in pieces; it is fetched once more from the start")
        download(url, part, remedy, checked=True)
        found = _hash(part, expected)
    if expected is None:
        _pin(path, part, found, begins)
    elif found != expected:
        discard(part)
        address = without_password(url)
        if digest is None:
            message = (
                f"{address} has SHA-256 {found}, but {path.name} had {expected} when it was first seen. "
                f"If the change is wanted, delete {_pin_file(path)}."
            )
            raise GraftError(message)
        message = f"{address} arrived damaged: expected {KINDS[len(expected)]} {expected}, found {found}. {remedy}"
        raise DownloadError(message)
    part.replace(path)


def _hash(path: Path, like: str | None) -> str:
    """Return the hash of a file, in hex, of the same kind as `like`; SHA-256 for None."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5" if like and KINDS[len(like)] == "MD5" else "sha256").hexdigest()


def _pin_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _pin(path: Path, arrived: Path, found: str, begins: bytes) -> None:
    """Keep the hash of a file that has none published, in the format of sha256sum; it has arrived as `arrived`."""
    with arrived.open("rb") as file:
        start = file.read(len(begins))
    if start != begins:
        if arrived != path:
            discard(arrived)
        message = (
            f"{path.name} begins with {start!r}; expected {begins!r}. It is another kind of file, such as the login "
            f"page of a network in between. Put the right file there by hand as {path}."
        )
        raise GraftError(message)
    with atomic_file(_pin_file(path)) as temporary:
        temporary.write_text(f"{found}  {path.name}\n", encoding="utf-8")
    say(f"backbone: no hash is published for {path.name}: from now on it is held to SHA-256 {found}")


def _pinned(path: Path) -> str | None:
    place = _pin_file(path)
    if not place.is_file():
        return None
    found = re.match(r"[0-9a-f]{64}\b", place.read_text(encoding="utf-8", errors="replace").lower())
    if found is None:
        message = f"{place} holds no SHA-256. Delete it, and {path.name} is pinned anew."
        raise GraftError(message)
    return found[0]


def _address(url: str) -> httpx.URL:
    """Return where to fetch `url` from: itself, or the same path below GRAFT_MIRROR."""
    address = _parsed(url, "the address of the weights")
    mirror = os.environ.get("GRAFT_MIRROR")
    if not mirror:
        return address
    base = _parsed(mirror, "GRAFT_MIRROR")
    if base.query or base.fragment:
        message = f"GRAFT_MIRROR must end with a path, which paths are added to; found {without_password(base)}."
        raise GraftError(message)
    return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + address.raw_path)


def _parsed(text: str, what: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        hidden = re.sub(r"^(\w+://)?.*@", r"\1", text, flags=re.DOTALL)  # a password may be in it
        message = f"{what} must be a URL such as https://host/path; found {hidden!r}."
        raise GraftError(message)
    return url
