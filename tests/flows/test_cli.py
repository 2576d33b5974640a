import os
import subprocess
import sys
from pathlib import Path

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
