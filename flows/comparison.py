"""Comparisons of runs: their files are fetched here, and `python -m tasks.comparison` compares them."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from flows import process, revisions
from flows.revisions import HEAD, LOCK, PARAMS
from tasks.common import params
from tasks.common.errors import GraftError

WORKSPACE = "workspace"
PREDICTIONS = Path("artifacts/evaluation/predictions.parquet")
# The files of a run that a comparison reads.
FILES = (PREDICTIONS, Path("artifacts/evaluation/metrics.json"), Path(PARAMS))
FOLDER = Path("artifacts/comparison")
PAGE = FOLDER / "report.html"
PREFIX = "graft report: error: "


class Run(NamedTuple):
    """A run to compare: a folder with its files at their usual paths, and its name for people."""

    folder: Path
    name: str


def compare_revisions(root: Path, before: str, after: str) -> None:
    """Print a comparison of two revisions or experiments and write the page PAGE; `after` may be WORKSPACE.

    Raises:
        GraftError: A revision is unknown, its files cannot be fetched, or the runs cannot be compared.
    """
    with TemporaryDirectory() as temporary:
        older = Run(_folder(root, before, Path(temporary) / "before"), before)
        newer = Run(_folder(root, after, Path(temporary) / "after"), after)
        compare(root, older, newer)


def compare(root: Path, before: Run, after: Run, *options: str) -> dict[str, Any]:
    """Print a comparison, write the page PAGE, and return the document of tasks/comparison/summary.py.

    `options` are further ones of `python -m tasks.comparison`. Raises GraftError with its own message.
    """
    images = params.load(root / PARAMS).dataset.source
    return _run(root, before, after, f"--images={images}", f"--out={FOLDER}", *options, show=True)


def since_last_commit(root: Path) -> str | None:
    """Return the verdict on the run in the workspace against the last committed one, or why there is none.

    None: the workspace has no predictions.
    """
    if not (root / PREDICTIONS).is_file():
        return None
    if revisions.commit_of(root, HEAD) is None:
        return "nothing to compare with: there is no commit yet"
    if not revisions.has_file(root, HEAD, LOCK):
        return "nothing to compare with: the last commit has no run"
    if revisions.is_committed(root):
        return "the same run: dvc.lock is as committed"
    try:
        with TemporaryDirectory() as temporary:
            before = Run(revisions.fetch(root, HEAD, FILES, Path(temporary)), HEAD)
            return str(_run(root, before, Run(root, WORKSPACE), show=False)["headline"])
    except GraftError as error:
        return f"no comparison: {error}"


def _folder(root: Path, name: str, temporary: Path) -> Path:
    """Return the folder with the files of a run: the workspace itself, or a temporary one."""
    return root if name == WORKSPACE else revisions.fetch(root, name, FILES, temporary)


def _run(root: Path, before: Run, after: Run, *options: str, show: bool) -> dict[str, Any]:
    """Run the comparison, whose summary goes to standard output if `show`, and return its document."""
    with TemporaryDirectory() as temporary:
        document = Path(temporary) / "comparison.json"
        runs = [
            f"--before={before.folder}",
            f"--after={after.folder}",
            f"--before-name={before.name}",
            f"--after-name={after.name}",
        ]
        options = (*runs, f"--json={document}", *options)
        process.run_module(root, "tasks.comparison", *options, prefix=PREFIX, show=show)
        return dict(json.loads(document.read_text(encoding="utf-8")))
