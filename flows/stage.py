"""One DVC stage brought up to date by DVC's own command line. Nothing here knows Prefect."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from tasks.common.errors import GraftError

How = Literal["ran", "restored", "up to date"]

TEMPORARY_FAILURE = 75
SECONDS_TO_END = 10.0


class Outcome(NamedTuple):
    """What bringing a stage up to date took, and the stages it was brought after."""

    stage: str
    how: How
    seconds: float
    upstream: tuple[str, ...] = ()


class StageError(GraftError):
    """A stage that failed, in its own words; `temporary` when trying again may help, `trace` when it is a defect."""

    def __init__(self, text: str, *, temporary: bool, trace: str = "") -> None:
        """Keep the stage's own error line, whether the failure may pass, and the traceback of a defect."""
        super().__init__(text)
        self.temporary = temporary
        self.trace = trace


def stale(root: Path) -> set[str]:
    """Return the names of the stages and .dvc files that `dvc status` says have changed.

    Raises GraftError with DVC's own words.
    """
    command = [*_dvc(), "--wait-for-lock", "status", "--json"]
    done = subprocess.run(command, cwd=root, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GraftError(_dvc_error(done.stderr.splitlines(), "dvc status failed"))
    return {name.rsplit(":", 1)[-1] for name in json.loads(done.stdout or "{}")}


def reproduce(root: Path, stage: str, on_line: Callable[[str], None]) -> Outcome:
    """Bring one stage up to date with `dvc repro --single-item`, passing each line of its output to `on_line`.

    The command runs in a process group of its own; whatever ends this function early ends the group first.
    Raises StageError.
    """
    start = time.monotonic()
    command = [*_dvc(), "--wait-for-lock", "repro", "--single-item", stage]
    lines: list[str] = []
    process = subprocess.Popen(
        command,
        cwd=root,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        for line in process.stdout or ():
            if text := line.rstrip():
                lines.append(text)
                on_line(text)
        code = process.wait()
    except BaseException:
        end_group(process)
        raise
    if code != 0:
        raise _failure(stage, lines)
    return Outcome(stage, _how(lines), time.monotonic() - start)


def end_group(process: subprocess.Popen[str]) -> None:
    """End a process and all its children: interrupt them, and kill what has not left in time."""
    for number, patience in ((signal.SIGINT, SECONDS_TO_END), (signal.SIGTERM, SECONDS_TO_END), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _how(lines: list[str]) -> How:
    if any(line.startswith(("Running stage ", "Verifying data sources ")) for line in lines):
        return "ran"
    if any("is cached - skipping run" in line for line in lines):
        return "restored"
    return "up to date"


def _failure(stage: str, lines: list[str]) -> StageError:
    mark = f"graft {stage}: error: "
    own = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    code = re.search(r"exited with (\d+)", "\n".join(lines))
    text = f"{stage}: {own[-1] if own else _dvc_error(lines, 'dvc repro failed')}"
    starts = [place for place, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    trace = "\n".join(lines[starts[-1] :]) if starts and not own else ""
    return StageError(text, temporary=code is not None and int(code[1]) == TEMPORARY_FAILURE, trace=trace)


def _dvc_error(lines: list[str], otherwise: str) -> str:
    return next((line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")), otherwise)


def _dvc() -> list[str]:
    return [sys.executable, "-m", "dvc"]


def _environment() -> dict[str, str]:
    # `python` in dvc.yaml is to be this interpreter, whether or not its environment is activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"}
