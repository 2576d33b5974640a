"""The folder that a run works in: how it is found, and the lock that admits one run at a time."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.common.errors import GraftError


def find(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds dvc.yaml, inside a DVC and a git repository.

    Raises GraftError that says what is missing and which command creates it.
    """
    root = _nearest(start, "dvc.yaml")
    if root is None:
        message = f"expected a dvc.yaml in {start} or above it, found none. Change into a clone of Graft's repository."
        raise GraftError(message)
    for marker, tool in ((".git", "git"), (".dvc", "DVC")):
        if _nearest(root, marker) is None:
            message = f"{root} is not in a {tool} repository: expected {marker}, found none. Run `{tool.lower()} init`."
            raise GraftError(message)
    return root


def repository(root: Path, marker: str) -> Path:
    """Return the folder of the repository around `root`: that of Git for the marker `.git`, of DVC for `.dvc`."""
    return _nearest(root, marker) or root


@contextmanager
def lock(root: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the workspace; while another run holds it, report that once through `on_wait` and wait for its end.

    The kernel releases the lock when its process ends, even if that is killed.
    """
    # A .dvc folder below that of the repository would start a DVC repository of its own, without cache and remotes.
    top = repository(root, ".dvc")
    folder = top / ".dvc" / "tmp" / "graft" / root.relative_to(top)
    folder.mkdir(parents=True, exist_ok=True)
    pid_file = folder / "run.pid"
    file_lock = FileLock(folder / "run.lock")
    try:
        file_lock.acquire(blocking=False)
    except Timeout:
        pid = pid_file.read_text(encoding="utf-8").strip() if pid_file.is_file() else "unknown"
        on_wait(f"another graft run (pid {pid}) is working here; waiting for it")
        file_lock.acquire()
    try:
        pid_file.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        file_lock.release()


def _nearest(start: Path, name: str) -> Path | None:
    """Return the nearest folder at or above `start` that holds `name`."""
    return next((folder for folder in (start, *start.parents) if (folder / name).exists()), None)
