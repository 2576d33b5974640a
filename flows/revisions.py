"""Files of a committed run or of a DVC experiment, from the DVC cache or a remote, and the state of the last commit."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flows import process, workspace
from tasks.common.errors import GraftError
from tasks.common.text import printable

HEAD = "HEAD"
LOCK = "dvc.lock"
PARAMS = "params.yaml"
# The files that say how a run was made.
RECORD = ("dvc.yaml", LOCK, PARAMS)


def fetch(root: Path, revision: str, files: Iterable[Path], folder: Path) -> Path:
    """Copy files of `root` as they were at a revision into `folder`, at the same paths below it, and return the folder.

    Args:
        root: folder of the dvc.yaml.
        revision: a commit, a tag, a branch, or the name of a DVC experiment.
        files: paths below `root`, under the control of DVC or Git.
        folder: where to copy them.

    Raises:
        GraftError: There is no such revision, it has no such file, or neither the DVC cache nor a remote has the file.
    """
    # DVC takes a third of a second to import.
    from dvc.api import DVCFileSystem
    from dvc.scm import RevError

    repository, shown = str(workspace.repository(root, ".dvc")), printable(revision)
    # The commit may be older than the remote, or have another one.
    remote = DVCFileSystem(repository).repo.config["core"].get("remote")
    try:
        # A DVC repository may lie below the top of that of Git, where the paths of a revision begin.
        tree = DVCFileSystem(repository, rev=revision, remote=remote, subrepos=True)
        _ = tree.repo  # looks the revision up
    except RevError as error:
        message = (
            f"'{shown}' is no commit, tag, branch or DVC experiment. `git log`, `git tag` and `dvc exp list` show them."
        )
        raise GraftError(message) from error
    for file in files:
        source, target = str(root.relative_to(workspace.repository(root, ".git")) / file), folder / file
        if not tree.isfile(source):
            message = f"'{shown}' has no {file}: it holds no finished run of this version. Compare with another one."
            raise GraftError(message)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            tree.get_file(source, str(target))
        except Exception as error:  # each kind of remote has errors of its own
            message = (
                f"{file} of '{shown}' is neither in the DVC cache nor in a remote that can be reached "
                "(`dvc remote list`). Run `dvc push` where it was trained."
            )
            raise GraftError(message) from error
    return folder


def commit_of(root: Path, revision: str) -> str | None:
    """Return the hash of the commit, or None if there is none."""
    done = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return done.stdout.strip() or None


def has_file(root: Path, revision: str, name: str) -> bool:
    """Tell whether a commit has a file, whose path is relative to `root`."""
    return _git(root, "cat-file", "-e", f"{revision}:./{name}").returncode == 0


def uncommitted(root: Path) -> list[str]:
    """Return the files of RECORD that differ from the last commit, or that Git does not know."""
    done = _git(root, "status", "--porcelain=v1", "--untracked-files=all", "--", *RECORD)
    return [name for name in RECORD if any(line[3:].endswith(name) for line in done.stdout.splitlines())]


def is_committed(root: Path) -> bool:
    """Tell whether the results of the workspace are those of the last commit."""
    return _git(root, "diff", "--quiet", HEAD, "--", LOCK).returncode == 0


def is_shallow(root: Path) -> bool:
    """Tell whether the clone lacks a part of the history."""
    return _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"


def param_not_in_run(root: Path) -> str | None:
    """Return the first key whose value in params.yaml is not the one that the run in dvc.lock used, or None."""
    reader = YAML(typ="safe", pure=True)
    lock, params = (reader.load((root / name).read_text(encoding="utf-8")) for name in (LOCK, PARAMS))
    for stage in lock["stages"].values():
        for key, used in stage.get("params", {}).get(PARAMS, {}).items():
            if _value(params, key.split(".")) != used:
                return str(key)
    return None


def _value(params: Any, names: list[str]) -> Any:
    for name in names:
        params = params.get(name) if isinstance(params, dict) else None
    return params


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=root, env=process.environment(), capture_output=True, text=True, check=False
    )
