"""Files and folders that are written completely or not at all, and the cache folder."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.common.errors import GraftError
from tasks.common.text import printable


def cache_folder() -> Path:
    """Return the folder of the caches that runs share: GRAFT_CACHE, or else `graft` in the user's cache folder."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GRAFT_CACHE") or Path(user_cache) / "graft")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there is renamed on success and removed on failure.

    Raises:
        GraftError: `path` is a folder, a device or a pipe, which a file must not replace.
    """
    refuse_special_file(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; it replaces `path` on success and is removed on failure."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_special_file(path: Path) -> None:
    """Raise a GraftError if something exists at `path`, or behind the link there, that is no regular file."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        message = f"{printable(str(path))} is {kind}, which a file must not replace. Give the path of a file."
        raise GraftError(message)


def make_folder(path: Path) -> None:
    """Make the folder and those above it, unless they exist; raises a GraftError if one of them is a file."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        message = (
            f"{printable(str(error.filename))} is not a folder, so nothing can be written there. Give another path."
        )
        raise GraftError(message) from error


def require(path: Path, stage: str) -> Path:
    """Return `path` if it exists; otherwise raise a GraftError that names the stage to run."""
    if not path.exists():
        message = f"{path} is missing: stage '{stage}' makes it. Run `dvc repro {stage}`."
        raise GraftError(message)
    return path
