"""The source of a dataset, checked before any stage runs by a command of the stage `dataset`."""

import os
import subprocess
import sys
from pathlib import Path

from tasks.common.errors import GraftError


def check_layout(data: Path, root: Path) -> None:
    """Raise a GraftError if the folder or archive `data` is visibly no dataset.

    Where another folder is the dataset, the error suggests it. `root` is the folder of Graft.
    """
    _check(["--images", str(data), "--project", str(root), "--only", "layout"])


def check_names(root: Path, source: str) -> None:
    """Raise a GraftError if DVC could not read a file below `source`, a path that may be relative to `root`.

    A source that is missing passes: DVC may restore it.
    """
    _check(["--images", source, "--only", "names"], working_folder=root)


def _check(arguments: list[str], working_folder: Path | None = None) -> None:
    command = [sys.executable, "-m", "tasks.dataset.source", *arguments]
    completed = subprocess.run(
        command,
        cwd=working_folder,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        check=False,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    if completed.stdout:
        raise GraftError(completed.stdout.rstrip("\n"))
    completed.check_returncode()
