"""DVC's command line: stale stages, the graph of stages, and bringing one up to date. No Prefect here."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from flows import process
from tasks.common.errors import GraftError

How = Literal["ran", "restored", "up to date"]

TEMPORARY_FAILURE = 75
MISSING = re.compile(r"failed to reproduce '.+': \[Errno 2\] No such file or directory: '(.+)'")
NODE = re.compile(r'^"(.+?)"(?: -> "(.+)")?;$', re.MULTILINE)


class Outcome(NamedTuple):
    """The way in which a stage was brought up to date, and the seconds that it took."""

    stage: str
    how: How
    seconds: float


class StageError(GraftError):
    """A failed stage, with its own error line; `temporary` if a retry may help, `trace` if the stage has a defect."""

    def __init__(self, text: str, *, temporary: bool, trace: str = "") -> None:
        """Keep the stage's error line, whether a retry may help, and the traceback of a defect."""
        super().__init__(text)
        self.temporary = temporary
        self.trace = trace


def stale(root: Path) -> set[str]:
    """Return the stages of `root`/dvc.yaml, and the .dvc files upstream of them, that `dvc status` calls changed.

    Raises GraftError with DVC's own message.
    """
    output = _query(root, "status", "--json", "--with-deps", "dvc.yaml")
    return {name for name in json.loads(output or "{}") if _in_this_pipeline(name)}


def graph(root: Path) -> dict[str, list[str]]:
    """Return the stages of `root`/dvc.yaml and the .dvc files upstream of them, each with its direct upstream.

    The order is that of `dvc dag`. Raises GraftError with DVC's own message.
    """
    upstream: dict[str, list[str]] = {}
    for name, downstream in NODE.findall(_query(root, "dag", "--dot", "dvc.yaml")):
        if not downstream and _in_this_pipeline(name):
            upstream[name] = []
        elif name in upstream and downstream in upstream:
            upstream[downstream].append(name)
    return upstream


def reproduce(root: Path, stage: str, on_line: Callable[[str], None]) -> Outcome:
    """Bring one stage up to date with `dvc repro --single-item`, and call `on_line` with each line of its output.

    The command runs in a process group of its own, which is ended first if this function is interrupted.
    Raises StageError.
    """
    start = time.monotonic()
    code, lines = process.run(_command("repro", "--single-item", stage), root, on_line)
    if code != 0:
        raise stage_failure(stage, lines)
    return Outcome(stage, _how(lines), time.monotonic() - start)


def add(root: Path, data: Path, out: str) -> None:
    """Put a file or a folder under DVC as `out`, a path below `root`; data that lie elsewhere are copied there.

    Raises GraftError with DVC's own message.
    """
    is_in_place = data.resolve() == (root / out).resolve()
    _change(root, out, "add", *([] if is_in_place else ["--out", out]), out if is_in_place else str(data.resolve()))


def import_url(root: Path, url: str, out: str) -> None:
    """Download a file or a folder as `out`, a path below `root`, and put it under DVC; raises GraftError."""
    _change(root, out, "import-url", url, out)


def stage_failure(stage: str, lines: list[str]) -> StageError:
    """Return the error of a stage that failed, from the lines that it and DVC wrote."""
    prefix = f"graft {stage}: error: "
    own_errors = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
    code = re.search(r"exited with (\d+)", "\n".join(lines))
    text = f"{stage}: {own_errors[-1] if own_errors else _explain(_dvc_error(lines, 'dvc repro failed'))}"
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    trace = "\n".join(lines[starts[-1] :]) if starts and not own_errors else ""
    return StageError(text, temporary=code is not None and int(code[1]) == TEMPORARY_FAILURE, trace=trace)


def _in_this_pipeline(name: str) -> bool:
    """Tell whether DVC names a stage of the dvc.yaml in its working folder, or a .dvc file.

    Stages of another dvc.yaml have its path before their name: `sub/dvc.yaml:dataset`.
    """
    return ":" not in name or name.endswith(".dvc")


def _query(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        _command(*arguments), cwd=root, env=process.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise GraftError(_dvc_error(done.stderr.splitlines(), f"dvc {arguments[0]} failed"))
    return done.stdout


def _explain(message: str) -> str:
    """Return DVC's message, or one that says what to do where DVC names a missing file alone."""
    missing = MISSING.fullmatch(message)
    if missing is None:
        return message
    remedy = "Set dataset.source in params.yaml to the images, or run `dvc pull` to fetch what is under version control"
    return f"{missing[1]} is missing, which the stage reads. {remedy}."


def _change(root: Path, out: str, *arguments: str) -> None:
    """Run a command that writes `out`; on a terminal, DVC itself shows its progress and its errors."""
    (root / out).parent.mkdir(parents=True, exist_ok=True)
    on_terminal = sys.stderr.isatty()
    done = subprocess.run(
        _command(*arguments),
        cwd=root,
        env=process.environment(),
        stdout=subprocess.PIPE,
        stderr=None if on_terminal else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        failed = f"dvc {arguments[0]} failed"
        raise GraftError(failed if on_terminal else _dvc_error(done.stderr.splitlines(), failed))


def _how(lines: list[str]) -> How:
    if any(line.startswith(("Running stage ", "Verifying data sources ")) for line in lines):
        return "ran"
    if any("is cached - skipping run" in line for line in lines):
        return "restored"
    return "up to date"


def _dvc_error(lines: list[str], otherwise: str) -> str:
    return next((line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")), otherwise)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
