"""`graft store`, as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.common.command import run_command
from tasks.store import Description, Store
from tasks.store.__main__ import main
from tests.tasks.store.helpers import ROOT, fill, make_keys, start

HEAVY = "import sys, tasks.store.__main__; print({'onnx', 'onnxruntime', 'PIL', 'keras'} & sys.modules.keys())"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a store of three vectors."""
    fill(Store(tmp_path / "store"), make_keys(3), description=Description("VGG16", "block3_pool"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFT_STORE", str(tmp_path / "store"))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["graft store", *arguments])
    try:
        run_command("store", main)
    except SystemExit as ending:
        return ending.code
    return 0


def test_the_store_is_shown_by_backbone_and_tap(folder: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "store"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    heading, row, *_ = done.stdout.splitlines()
    assert heading.split()[:2] == ["backbone", "tap"]
    assert row.split()[:2] == ["VGG16", "block3_pool"]


def test_the_command_starts_without_the_libraries_of_networks_and_images() -> None:
    assert start(HEAVY).communicate() == ("set()\n", "")


def test_an_option_comes_before_the_params_and_these_before_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("store: null", "store: by-params"))
    assert run(monkeypatch) == 0
    assert run(monkeypatch, "--store", "by-option") == 0
    assert capsys.readouterr().out == (
        f"{folder}/by-params holds no features.\n{folder}/by-option holds no features.\n"
    )


def test_pruning_removes_the_oldest_until_the_rest_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "prune", "--keep", "1", "--older-than", "2") == 0
    assert "removed 0 segments, 0.0 MB" in capsys.readouterr().out
    assert run(monkeypatch, "prune", "--keep", "0") == 0
    assert "removed 1 segments, 0.0 MB" in capsys.readouterr().out
    assert run(monkeypatch) == 0
    assert "holds no features" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(
            ["prune"],
            1,
            "graft store: error: expected --older-than DAYS, --keep GB, or both; found neither",
            id="no limit",
        ),
        pytest.param(
            ["prune", "--keep", "-1"], 2, "argument --keep: expected a number of at least 0, found -1", id="below 0"
        ),
        pytest.param(["prune", "--keep", "x"], 2, "argument --keep: invalid number value: 'x'", id="no number"),
        pytest.param(
            ["--store", "nowhere://x"],
            1,
            "graft store: error: features.store must be a folder or an address",
            id="no store",
        ),
    ],
)
def test_a_wrong_argument_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert run(monkeypatch, *arguments) == code
    assert message in capsys.readouterr().err.splitlines()[-1]
