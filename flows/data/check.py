"""Scanning and judging a dataset alone, and the table of what was found."""

import json
import shutil
import sys
import time
from enum import IntEnum
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows import dvc, params_file, pipeline, process, report, workspace
from flows.data import layout, sources
from flows.dvc import Outcome, StageError
from flows.live_display import LiveDisplay
from tasks.common import params
from tasks.common.text import count, printable

CORRECTIONS = "data/corrections.csv"
VALIDATION = "validation"
RESULTS = Path("artifacts/validation")
# The check of another dataset leaves the results of the repository's own as they are.
OTHER_RESULTS = Path("artifacts/check")
STYLES = {"blocking": "red", "warning": "yellow", "note": "dim"}


class Verdict(IntEnum):
    """The outcome of a check."""

    GOOD = 0
    WARNINGS = 1
    UNFIT = 2

    def exit_code(self, *, strict: bool) -> int:
        """Return the exit code; warnings count only with `strict`."""
        return Verdict.GOOD if self is Verdict.WARNINGS and not strict else self


def check_source(root: Path, console: Console) -> Verdict:
    """Bring the stages up to the validation up to date, print the findings and return the verdict.

    Raises GraftError when the dataset cannot be judged.
    """
    # The findings are printed inside the lock, because the next check overwrites them.
    with workspace.lock(root, on_wait=print):
        with LiveDisplay(console) as display:
            layout.check_names(root, params.load(root / "params.yaml").dataset.source)
            for stage in _stages_up_to_validation(root):
                display.on_start(stage)
                try:
                    outcome = dvc.reproduce(root, stage, partial(display.on_line, stage))
                except StageError:
                    display.on_failure(stage)
                    # DVC removes the results of an earlier run, so these are of this one.
                    if stage == VALIDATION and (root / RESULTS / "results.json").is_file():
                        break
                    raise
                display.on_end(outcome)
        return print_findings(root, RESULTS, console)


def check_path(path: Path, root: Path, console: Console) -> Verdict:
    """Scan and judge another dataset than that of the params, print the findings and return the verdict.

    Raises GraftError when the dataset cannot be judged.
    """
    source = sources.local_source(path, root)
    # An error in the params must name the user's file, not the copy of it.
    params.load(root / "params.yaml")
    if path.is_dir():
        layout.check_layout(path, root)
    # A lock of its own, so that a check need not wait for a training run.
    with workspace.lock(root / OTHER_RESULTS, on_wait=print):
        _scan_and_judge(source, root, console)
        return print_findings(root, OTHER_RESULTS, console)


def _scan_and_judge(source: sources.Source, root: Path, console: Console) -> None:
    """Write the results of a dataset's check to OTHER_RESULTS."""
    out = root / OTHER_RESULTS
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copyfile(root / "params.yaml", out / "params.yaml")
    params_file.edit(out / "params.yaml", source.changes())
    shared = ["--images", source.source, "--params", str(out / "params.yaml")]
    manifest = str(out / "manifest.parquet")
    with LiveDisplay(console) as display:
        _run_stage("dataset", root, display, *shared, "--corrections", CORRECTIONS, "--out", manifest)
        try:
            _run_stage(VALIDATION, root, display, *shared, "--manifest", manifest, "--out", str(out))
        except StageError:
            if not (out / "results.json").is_file():
                raise


def print_findings(root: Path, folder: Path, console: Console) -> Verdict:
    """Print the number of images, the findings in a folder of results, and the path of its page; return the verdict."""
    rows = json.loads((root / folder / "results.json").read_text(encoding="utf-8"))
    findings = [finding for row in rows for finding in row["findings"]]
    summary = json.loads((root / folder / "summary.json").read_text(encoding="utf-8"))
    console.print(f"\n{count(summary['images'], 'image')} accepted")
    if findings:
        table = Table(box=None, pad_edge=False)
        for name in ("", "finding", "next"):
            table.add_column(name, overflow="fold")
        for row in sorted(findings, key=lambda row: list(STYLES).index(row["severity"])):
            texts = (Text(printable(row[key])) for key in ("message", "advice"))
            table.add_row(Text(row["severity"], style=STYLES[row["severity"]]), *texts)
        console.print(table)
    if folder == RESULTS and (differences := report.changes(root)):
        # As Text, names in brackets are no markup.
        console.print(Text(f"since the last run: {'; '.join(differences)}"), soft_wrap=True)
    console.print(f"report: {folder / 'report.html'}")
    severities = {row["severity"] for row in findings}
    return Verdict.UNFIT if "blocking" in severities else Verdict.WARNINGS if "warning" in severities else Verdict.GOOD


def _stages_up_to_validation(root: Path) -> list[str]:
    stages = {stage.name: stage for stage in pipeline.read(root)}
    needed, pending = set[str](), [VALIDATION]
    while pending:
        name = pending.pop()
        needed.add(name)
        pending += stages[name].upstream
    return [name for name in stages if name in needed]


def _run_stage(stage: str, root: Path, display: LiveDisplay, *arguments: str) -> None:
    display.on_start(stage)
    start = time.monotonic()
    command = [sys.executable, "-m", f"tasks.{stage}", *arguments]
    ended = process.run(command, root, partial(display.on_line, stage))
    if ended.code != 0:
        display.on_failure(stage)
        raise dvc.stage_failure(stage, ended.lines)
    display.on_end(Outcome(stage, "ran", time.monotonic() - start))
