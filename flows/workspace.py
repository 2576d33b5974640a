"""The folder that a run works in: found, checked, and held by one run at a time."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.common.errors import GraftError


def find(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds dvc.yaml, inside a DVC and a git repository.

    Raises GraftError that says what is missing and which command makes it.
    """
    places = [start, *start.parents]
    root = next((place for place in places if (place / "dvc.yaml").is_file()), None)
    if root is None:
        message = f"expected a dvc.yaml in {start} or above it, found none. Change into a clone of Graft's repository."
        raise GraftError(message)
    for marker, tool in ((".git", "git"), (".dvc", "DVC")):
        if not any((place / marker).exists() for place in [root, *root.parents]):
            message = f"{root} is not in a {tool} repository: expected {marker}, found none. Run `{tool.lower()} init`."
            raise GraftError(message)
    return root


@contextmanager
def alone(root: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the workspace; while another run holds it, say so once through `on_wait` and wait for its end.

    The lock is the kernel's: it ends with the process that holds it, however that ends.
    """
    path = root / ".dvc" / "tmp" / "graft.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            on_wait(f"another graft run (pid {file.read().strip()}) is working here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
