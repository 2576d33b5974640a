import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows import workspace as workspaces

ROOT = Path(__file__).parents[2]


def graft(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flows.cli import app; app()", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "head.epoch=3"], "there is no key 'head.epoch'. Did you mean 'epochs'?"),
        (["--set", "head.epochs=0"], "'head.epochs' is 0; expected greater than or equal to 1."),
        (["--set", "epochs=3"], "--set expects section.key=value; found 'epochs=3'."),
        (["--set", "head.epochs"], "--set expects section.key=value; found 'head.epochs'."),
        (["--data", "nowhere"], "--data nowhere is not a folder."),
    ],
)
def test_a_wrong_argument_ends_in_one_line_and_leaves_params_as_they_were(
    workspace: Path, arguments: list[str], told: str
) -> None:
    before = (workspace / "params.yaml").read_bytes()
    done = graft("train", *arguments, cwd=workspace)
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert (workspace / "params.yaml").read_bytes() == before


def test_options_change_their_keys_keep_the_comments_and_the_run_ends_in_a_summary(workspace: Path) -> None:
    (workspace / "photos").mkdir()
    before = (workspace / "params.yaml").read_text().splitlines()
    done = graft("train", "--data", "photos", "--backbone", "VGG16", "--set", "head.epochs=9", cwd=workspace)
    assert done.returncode == 0, done.stderr
    assert "backbone.weights: imagenet (the starter weights are for MobileNet, not VGG16)" in done.stdout
    assert "evaluation: ran" in done.stdout
    assert "artifacts/export/model.onnx" in done.stdout
    after = (workspace / "params.yaml").read_text().splitlines()
    changed = [new.split("#")[0].split() for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [["source:", "photos"], ["name:", "VGG16"], ["weights:", "imagenet"], ["epochs:", "9"]]
    assert [line.partition("#")[2] for line in before] == [line.partition("#")[2] for line in after]


def test_outside_a_repository_the_missing_part_is_named_with_its_command(tmp_path: Path) -> None:
    done = graft("train", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "expected a dvc.yaml" in done.stderr
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    no_git = "is not in a git repository: expected .git, found none. Run `git init`."
    assert no_git in graft("train", cwd=tmp_path).stderr
    (tmp_path / ".git").mkdir()
    no_dvc = "is not in a DVC repository: expected .dvc, found none. Run `dvc init`."
    assert no_dvc in graft("train", cwd=tmp_path).stderr


def test_a_second_run_says_that_it_waits_and_goes_on_when_the_first_has_ended(workspace: Path) -> None:
    command = [sys.executable, "-c", "from flows.cli import app; app()", "train"]
    with workspaces.alone(workspace, on_wait=pytest.fail):
        second = subprocess.Popen(
            command,
            cwd=workspace,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert second.stdout is not None
        waiting = next(line for line in second.stdout if "another graft run" in line)
        assert waiting.strip() == f"another graft run (pid {os.getpid()}) is working here; waiting for it"
        assert not (workspace / "calls.txt").exists()
    assert "evaluation: ran" in second.stdout.read()
    assert second.wait(60) == 0


def test_a_server_that_does_not_answer_is_named_in_one_line(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/api"
    monkeypatch.setenv("PREFECT_API_URL", address)
    done = graft("train", cwd=workspace)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: the Prefect server {address} does not answer. Start it with `prefect server start`, or unset "
        "PREFECT_API_URL to run with a temporary one.\n"
    )


@pytest.mark.parametrize(
    ("number", "to_group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGINT, False, 130), (signal.SIGTERM, False, 143)],
    ids=["Ctrl-C in a terminal", "SIGINT", "SIGTERM"],
)
def test_a_signalled_command_ends_at_once_with_its_stage_and_its_prefect_server(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory, number: signal.Signals, *, to_group: bool, code: int
) -> None:
    (workspace / "stage.py").write_text(
        "import time\nprint('sample: asleep', flush=True)\nopen('asleep', 'w').close()\ntime.sleep(600)\n"
    )
    # A server of the command's own: that of the test session is not its to end.
    environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"} | {
        "PYTHONPATH": str(ROOT),
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    }
    command = [sys.executable, "-c", "from flows.cli import app; app()", "train"]
    run = subprocess.Popen(
        command,
        cwd=workspace,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(workspace / "asleep", run)
        children = psutil.Process(run.pid).children(recursive=True)
        assert any("uvicorn" in one.cmdline() for one in children)
        (os.killpg if to_group else os.kill)(run.pid, number)
        assert run.wait(30) == code
        assert psutil.wait_procs(children, timeout=10)[1] == []
    finally:
        run.kill()


def wait_for(path: Path, run: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 120
    while not path.exists():
        assert run.poll() is None
        assert time.monotonic() < limit
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(0.1)
