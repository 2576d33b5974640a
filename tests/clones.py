"""Repositories made from the files of this one, so that uncommitted work is tested too."""

import shutil
import sys
from pathlib import Path

from tests.conftest import ROOT, call


def clone(folder: Path) -> Path:
    """Copy the files that git does not ignore into a repository of its own, and commit them."""
    names = call("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in names:
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    commit(folder, "init")
    return folder


def commit(folder: Path, message: str) -> None:
    """Commit all files of a folder."""
    call("git", "init", "-q", cwd=folder)
    call("git", "add", "-A", cwd=folder)
    call("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", message, cwd=folder)


def train(folder: Path) -> None:
    """Train on the bundled digits in a fresh clone through `dvc repro`."""
    call(sys.executable, "-m", "dvc", "repro", "-q", cwd=clone(folder))
