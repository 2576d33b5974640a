import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from flows.stage import StageError, reproduce, stale


def test_a_stage_runs_once_then_is_up_to_date_then_is_restored(workspace: Path) -> None:
    lines: list[str] = []
    assert reproduce(workspace, "sample", lines.append).how == "ran"
    assert "sample: at work" in lines
    assert reproduce(workspace, "sample", lines.append).how == "up to date"
    (workspace / "sample.out").unlink()
    assert reproduce(workspace, "sample", lines.append).how == "restored"
    assert (workspace / "calls.txt").read_text() == "sample\n"


def test_the_stale_stages_are_those_that_dvc_names(workspace: Path) -> None:
    assert {"sample", "backbone"} <= stale(workspace)
    reproduce(workspace, "sample", lambda _line: None)
    assert "sample" not in stale(workspace)


@pytest.mark.parametrize(("code", "temporary"), [(1, False), (75, True)])
def test_a_failed_stage_fails_with_its_own_error_line(workspace: Path, code: int, *, temporary: bool) -> None:
    (workspace / "sample.trouble").write_text(f"{code} there is no more paper")
    with pytest.raises(StageError) as caught:
        reproduce(workspace, "sample", lambda _line: None)
    assert str(caught.value) == "sample: there is no more paper"
    assert caught.value.temporary is temporary


def test_an_interrupted_stage_leaves_no_process_behind(workspace: Path) -> None:
    (workspace / "stage.py").write_text("import time\nprint('asleep', flush=True)\ntime.sleep(600)\n")

    def interrupt(line: str) -> None:
        if line == "asleep":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(workspace, "sample", interrupt)
    assert [one.cmdline() for one in psutil.Process().children(recursive=True) if "stage.py" in one.cmdline()] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signalled_run_ends_its_children_and_the_next_run_goes_on(workspace: Path, number: signal.Signals) -> None:
    script = (workspace / "stage.py").read_text()
    (workspace / "stage.py").write_text("import time\nprint('asleep', flush=True)\ntime.sleep(600)\n")
    code = (
        "import signal, sys; from pathlib import Path; from flows.stage import reproduce\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "reproduce(Path.cwd(), 'sample', lambda line: print(line, flush=True))\n"
    )
    root = Path(__file__).parents[2]
    run = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=workspace,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert run.stdout is not None
    watchdog = threading.Timer(120, run.kill)
    watchdog.start()
    children = []
    for line in run.stdout:
        if line.strip() == "asleep":
            children = psutil.Process(run.pid).children(recursive=True)
            run.send_signal(number)
            break
    run.stdout.close()
    assert run.wait(60) != 0
    watchdog.cancel()
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=30)[1] == []
    (workspace / "stage.py").write_text(script)
    assert reproduce(workspace, "sample", lambda _line: None).how == "ran"
