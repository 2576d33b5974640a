import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psutil
import pytest
from typer.testing import CliRunner, Result

from flows import cli, comparison, dvc, report, server
from flows import workspace as workspaces
from tests.conftest import ROOT
from tests.flows.conftest import write_classes, write_evaluation, write_summary_of_validation

COMMAND = [sys.executable, "-m", "flows.cli", "train"]
NEXT_STEPS = "next: look at the report         graft report\n"


@pytest.fixture(autouse=True)
def handler_of_sigterm() -> Iterator[None]:
    """Restore the signal handler, which `graft train` replaces in this process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def environment(prefect_template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which no Prefect server is configured."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    home = shutil.copytree(prefect_template, tmp_path_factory.mktemp("prefect") / "home")
    return others | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PREFECT_HOME": str(home)}


def graft_train(*arguments: str) -> Result:
    """Run `graft train` in this process, where it must end before it needs Prefect."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "connect", lambda _: pytest.fail("Prefect must not be started"))
        return CliRunner().invoke(cli.app, ["train", *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--set", "head.epoch=3"], "there is no key 'head.epoch'. Did you mean 'epochs'?", id="unknown key"
        ),
        pytest.param(
            ["--set", "head.epochs=0"], "'head.epochs' is 0; expected greater than or equal to 1.", id="out of range"
        ),
        pytest.param(
            ["--set", "epochs=3"], "--set expects section.key=value; found 'epochs=3'.", id="without a section"
        ),
        pytest.param(
            ["--set", "head.epochs"], "--set expects section.key=value; found 'head.epochs'.", id="without a value"
        ),
        pytest.param(
            ["--data", "nowhere"],
            "nowhere does not exist. Expected a folder, a table (.csv, .tsv or .parquet) or an archive.",
            id="missing folder",
        ),
    ],
)
def test_a_wrong_argument_ends_in_one_line_and_leaves_params_as_they_were(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    before = (workspace / "params.yaml").read_bytes()
    monkeypatch.chdir(workspace)
    result = graft_train(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert (workspace / "params.yaml").read_bytes() == before


def test_a_folder_that_is_not_the_dataset_ends_in_the_right_one_and_leaves_params_as_they_were(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(workspace / "data" / "pets")
    before = (workspace / "params.yaml").read_bytes()
    monkeypatch.chdir(workspace)
    result = graft_train("--data", ".")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: the folder . holds Graft itself. Expected one folder a class, CLASS/IMAGE; use --data data/pets.\n",
    )
    assert (workspace / "params.yaml").read_bytes() == before


def test_an_entry_that_dvc_cannot_read_is_named_before_dvc_is_called(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(workspace / "pets")
    (workspace / "pets" / "cat" / "lost.png").symlink_to("nowhere.png")
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(dvc, "stale", lambda _: pytest.fail("DVC must not be called"))
    result = graft_train("--data", "pets")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: pets/cat/lost.png is a symbolic link whose target is missing, and DVC cannot read it. "
        "Remove or rename it, then run again.\n"
    )


def test_options_change_their_keys_and_keep_the_comments(
    trained_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (trained_workspace / "params.yaml").read_text().splitlines()
    write_classes(trained_workspace / "pets")
    monkeypatch.chdir(trained_workspace)
    result = graft_train("--data", "pets", "--backbone", "VGG16", "--set", "head.epochs=9")
    assert result.exit_code == 0, result.output
    assert "backbone.weights: imagenet (the starter weights are for MobileNet, not VGG16)" in result.stdout
    after = (trained_workspace / "params.yaml").read_text().splitlines()
    changed = [new.split("#")[0].split() for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [["source:", "pets"], ["name:", "VGG16"], ["weights:", "imagenet"], ["epochs:", "9"]]
    assert [line.partition("#")[2] for line in before] == [line.partition("#")[2] for line in after]


def test_with_nothing_stale_the_command_says_so_and_ends_in_the_summary_without_prefect(
    trained_workspace: Path, environment: dict[str, str]
) -> None:
    write_summary_of_validation(trained_workspace, median_side=640, warnings=["classes are uneven: 900 against 12"])
    write_evaluation(trained_workspace, {"circle": (1.0, 50), "square": (0.0, 1)})
    for file in (comparison.PREDICTIONS, report.REPORT):
        (trained_workspace / file).touch()
    script = "import sys; from flows.cli import app; app(standalone_mode=False); assert 'prefect' not in sys.modules"
    command = [sys.executable, "-c", script, "train"]
    completed = subprocess.run(
        command, cwd=trained_workspace, env=environment, capture_output=True, text=True, check=True
    )
    assert completed.stdout.startswith("nothing to do: params, data and outputs are up to date\n")
    assert (
        "last commit        nothing to compare with: there is no commit yet\n"
        "model              artifacts/export/model.onnx\n"
        "report             artifacts/evaluation/report.html\n"
    ) in completed.stdout
    assert "test accuracy      90.0 % (95 % interval 80.0 to 95.0, 1,200 images), macro F1 70.0 %\n" in completed.stdout
    assert (
        "\nwarning: classes are uneven: 900 against 12\nwarning: class 'square' has recall 0 over 1 test image\n"
    ) in completed.stdout
    assert "note: the images are about 640 pixels on their shorter side" in completed.stdout
    assert NEXT_STEPS in completed.stdout
    assert not (trained_workspace / "calls.txt").exists()


def test_outside_a_repository_the_missing_part_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = graft_train()
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "expected a dvc.yaml" in result.stderr
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    no_git = "is not in a git repository: expected .git, found none. Run `git init`."
    assert no_git in graft_train().stderr
    (tmp_path / ".git").mkdir()
    no_dvc = "is not in a DVC repository: expected .dvc, found none. Run `dvc init`."
    assert no_dvc in graft_train().stderr


def test_a_second_run_says_that_it_waits_and_goes_on_when_the_first_has_ended(
    trained_workspace: Path, environment: dict[str, str]
) -> None:
    (trained_workspace / "photos" / "2.txt").write_text("2")
    with workspaces.lock(trained_workspace, on_wait=pytest.fail):
        second = subprocess.Popen(
            COMMAND,
            cwd=trained_workspace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert second.stdout is not None
        waiting = next(line for line in second.stdout if "another graft run" in line)
        assert waiting.strip() == f"another graft run (pid {os.getpid()}) is working here; waiting for it"
        assert not (trained_workspace / "calls.txt").exists()
    output = second.stdout.read()
    assert "photos.dvc: ran" in output
    assert "features: up to date 0.0 s" in output
    assert "evaluation: ran" in output
    assert NEXT_STEPS in output
    assert second.wait(60) == 0


def test_a_configured_server_that_does_not_answer_is_named_in_one_line(
    workspace: Path, environment: dict[str, str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/api"
        # The port stays reserved, but nothing listens.
        completed = subprocess.run(
            COMMAND,
            cwd=workspace,
            env=environment | {"PREFECT_API_URL": address},
            capture_output=True,
            text=True,
            check=False,
        )
    assert completed.returncode == 1
    assert completed.stderr == (
        f"error: the Prefect server {address} does not answer. Start it with `prefect server start`, or unset "
        "PREFECT_API_URL to run with a temporary one.\n"
    )


def test_a_temporary_server_that_is_not_ready_in_time_ends_in_one_line_with_the_remedies(
    workspace: Path, environment: dict[str, str]
) -> None:
    seconds = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "0"}
    completed = subprocess.run(
        COMMAND, cwd=workspace, env=environment | seconds, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 1
    assert "waiting for Prefect's temporary server" in completed.stdout
    assert completed.stderr == (
        "error: Prefect's temporary server did not answer within 0 s. Run the stages without Prefect with `dvc repro`, "
        "or start a server with `prefect server start` and set PREFECT_API_URL.\n"
    )


@pytest.mark.parametrize(
    ("number", "to_group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143), (signal.SIGKILL, False, -9)],
    ids=["Ctrl-C in a terminal", "SIGTERM", "SIGKILL"],
)
def test_a_run_that_a_signal_ends_leaves_no_prefect_server_behind(
    workspace: Path, environment: dict[str, str], number: signal.Signals, *, to_group: bool, code: int
) -> None:
    script = (workspace / "stage.py").read_text()
    marker = workspace / "asleep"
    os.mkfifo(marker)
    (workspace / "stage.py").write_text(f"import time\nopen({str(marker)!r}, 'w').close()\ntime.sleep(600)\n")
    run = subprocess.Popen(
        COMMAND,
        cwd=workspace,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    children: list[psutil.Process] = []
    try:
        # The end of the run opens the pipe too, if no stage does: then the test fails instead of waiting.
        Thread(target=_open_at_end, args=(run, marker), daemon=True).start()
        marker.read_bytes()  # returns once the stage has opened and closed the pipe
        children = psutil.Process(run.pid).children(recursive=True)
        servers = [process for process in children if "flows.server" in process.cmdline()]
        assert len(servers) == 1
        (os.killpg if to_group else os.kill)(run.pid, number)
        assert run.wait(30) == code
        # DVC finishes the stage of a run that was killed, and holds its own lock until then.
        ended = servers if number == signal.SIGKILL else children
        assert psutil.wait_procs(ended, timeout=20)[1] == []
    finally:
        for process in (run, *children):
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                process.kill()
    if number != signal.SIGKILL:
        (workspace / "stage.py").write_text(script)
        assert dvc.reproduce(workspace, "images", lambda _line: None).how == "ran"


def _open_at_end(run: subprocess.Popen[bytes], marker: Path) -> None:
    run.wait()
    with contextlib.suppress(OSError):
        os.close(os.open(marker, os.O_WRONLY | os.O_NONBLOCK))
