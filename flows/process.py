"""A command that runs in a process group of its own, whose lines are passed on as they come."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import GraftError

SECONDS_TO_END = 10.0


class Ended(NamedTuple):
    """The exit code of a command, and the lines of its output and its errors in the order of their arrival."""

    code: int
    lines: list[str]


def run(command: Sequence[str], root: Path, on_line: Callable[[str], None]) -> Ended:
    """Run a command in the folder `root` and call `on_line` with each line that it writes.

    The process group is ended first if this function is interrupted.
    """
    lines: list[str] = []
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment(),
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
        return Ended(process.wait(), lines)
    except BaseException:
        _end_group(process)
        raise


def run_module(root: Path, module: str, *arguments: str, prefix: str, show: bool = False) -> str:
    """Run the command of a module in the folder `root` and return its output; `show` prints it instead.

    With `show`, its warnings are printed too. Raises GraftError with its error line, which begins with `prefix`.
    """
    sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=root,
        env=environment(),
        stdout=None if show else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        errors = [line.removeprefix(prefix) for line in done.stderr.splitlines() if line.startswith(prefix)]
        raise GraftError(errors[-1] if errors else f"{module} failed: {done.stderr.strip()}")
    if show:
        sys.stderr.write(done.stderr)
    return done.stdout or ""


def environment() -> dict[str, str]:
    """Return the environment of a command: `python` in dvc.yaml must be this interpreter, activated or not."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"}


def _end_group(process: subprocess.Popen[str]) -> None:
    """End a process and all its children: interrupt them, then terminate, then kill those that remain."""
    for number, patience in ((signal.SIGINT, SECONDS_TO_END), (signal.SIGTERM, SECONDS_TO_END), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
