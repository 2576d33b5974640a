"""Cache of downloaded files: each file is complete and has the expected hash, or is not there at all.

A file without a published hash is pinned: `<name>.sha256` beside it keeps the SHA-256 that it had at first use.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from tasks.backbone.download.addresses import resolve_address, without_credentials
from tasks.backbone.download.http import download_file
from tasks.backbone.download.partial_file import PartialFile
from tasks.common.errors import DownloadError, GraftError
from tasks.common.files import atomic_file, cache_folder
from tasks.common.hashing import ALGORITHMS, hash_file
from tasks.common.progress import say

UNUSABLE_FOLDER = {
    errno.EACCES, errno.EDQUOT, errno.EEXIST, errno.EFBIG, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOSPC,
    errno.ENOTDIR, errno.EPERM, errno.EROFS,
}  # fmt: skip
"""Errors that the user can mend by another cache folder, by room on the disk, or by access rights."""


def weights_folder() -> Path:
    """Return the folder that holds downloaded weights."""
    return cache_folder() / "weights"


def fetch(url: str, name: str, digest: str | None, signature: bytes = b"") -> Path:
    """Return the path of the file `name` in the cache, complete and checked; download it if it is not there.

    `digest` is the published MD5 or SHA-256 in hexadecimal. None: no hash was published, so the file is pinned to the
    SHA-256 that it has at first use. It is pinned only if it begins with the bytes `signature`, because a network in
    between may have answered with its login page.

    Raises:
        DownloadError: the file cannot be downloaded now; a later run may succeed.
        GraftError: the file cannot be downloaded, kept, or trusted at all.
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
        expected = digest or _read_pin(path)
        # Checked before the lock is taken: the cache may be a shared folder that this user can only read.
        if not (expected and path.is_file() and hash_file(path, expected) == expected):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _lock(path):
                _accept_or_download(url, path, digest, signature)
    except OSError as error:
        if error.errno not in UNUSABLE_FOLDER:
            raise
        message = (
            f"cannot keep {name} in {path.parent}: {error.strerror}. "
            "Make room and give write access there, or set GRAFT_CACHE to another folder."
        )
        raise GraftError(message) from error
    return path


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file; the kernel releases it when the process is killed."""
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


def _accept_or_download(url: str, path: Path, digest: str | None, signature: bytes) -> None:
    """Accept the cached file if its hash allows it, else download the file."""
    expected = digest or _read_pin(path)
    if path.is_file():
        actual = hash_file(path, expected)
        if expected is None:
            _write_pin(path, path, actual, signature)
            return
        if actual == expected:  # another process downloaded the file while this one waited for the lock
            return
        if digest is None:
            message = (
                f"{path} has SHA-256 {actual}, but had {expected} when it was first seen. If the change is wanted, "
                f"delete {_pin_path(path)}; if not, delete {path}, and it is fetched anew."
            )
            raise GraftError(message)
        state = f"is damaged (expected {ALGORITHMS[len(expected)]} {expected}, found {actual})"
    else:
        state = "is missing"
    address = resolve_address(url)
    if os.environ.get("GRAFT_OFFLINE", "").lower() not in {"", "0", "false"}:
        message = (
            f"{path} {state}, and GRAFT_OFFLINE forbids to download it. "
            f"Put {without_credentials(address)} there by hand, or unset GRAFT_OFFLINE."
        )
        raise GraftError(message)
    if path.is_file():
        say(f"backbone: {path} {state}; it is fetched anew")
    _download(address, path, digest, expected, signature)


def _download(url: httpx.URL, path: Path, digest: str | None, expected: str | None, signature: bytes) -> None:
    """Download the file under a temporary name, check its hash, then rename it to `path`."""
    partial = PartialFile(path.with_name(f"{path.name}.part"))
    remedy = (
        f"Put the file there by hand as {path}, set GRAFT_MIRROR to a host that has it, "
        "or set backbone.weights to starter, which works offline."
    )
    in_one_response = download_file(url, partial, remedy, has_hash=expected is not None)
    actual = hash_file(partial.path, expected)
    if expected not in {None, actual} and not in_one_response:  # bytes of two versions, or a body that ended too early
        partial.discard()
        say(f"backbone: {path.name} arrived damaged in pieces; it is fetched once more from the start")
        download_file(url, partial, remedy, has_hash=True)
        actual = hash_file(partial.path, expected)
    if expected is None:
        _write_pin(path, partial.path, actual, signature)
    elif actual != expected:
        partial.discard()
        address = without_credentials(url)
        if digest is None:
            message = (
                f"{address} has SHA-256 {actual}, but {path.name} had {expected} when it was first seen. "
                f"If the change is wanted, delete {_pin_path(path)}."
            )
            raise GraftError(message)
        message = (
            f"{address} arrived damaged: expected {ALGORITHMS[len(expected)]} {expected}, found {actual}. {remedy}"
        )
        raise DownloadError(message)
    partial.path.replace(path)


def _pin_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _write_pin(path: Path, content: Path, sha256: str, signature: bytes) -> None:
    """Pin `path` to a SHA-256, in the format of sha256sum; the bytes to pin still lie in the file `content`."""
    with content.open("rb") as file:
        start = file.read(len(signature))
    if start != signature:
        if content != path:
            PartialFile(content).discard()
        message = (
            f"{path.name} begins with {start!r}; expected {signature!r}. It is another kind of file, such as the login "
            f"page of a network in between. Put the right file there by hand as {path}."
        )
        raise GraftError(message)
    with atomic_file(_pin_path(path)) as temporary:
        temporary.write_text(f"{sha256}  {path.name}\n", encoding="utf-8")
    say(f"backbone: no hash is published for {path.name}: from now on it is held to SHA-256 {sha256}")


def _read_pin(path: Path) -> str | None:
    pin_path = _pin_path(path)
    if not pin_path.is_file():
        return None
    match = re.match(r"[0-9a-f]{64}\b", pin_path.read_text(encoding="utf-8", errors="replace").lower())
    if match is None:
        message = f"{pin_path} holds no SHA-256. Delete it, and {path.name} is pinned anew."
        raise GraftError(message)
    return match[0]
