"""`graft store`, as its door runs it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.features.store import Store
from tasks.features.store.collection import Collection, Description
from tests.tasks.conftest import ROOT

SPACE = Collection("a" * 64, "b" * 64, "", "onnxruntime 1.32.0", "float32", 4)


def store(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "store", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GRAFT_STORE": str(cwd / "held")}
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, check=False)


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Write a store of three vectors."""
    images = np.random.default_rng(0).integers(0, 256, (3, 32), dtype=np.uint8)
    vectors = np.ones((3, 4), np.float32)
    Store(tmp_path / "held").write(SPACE, Description("VGG16", "block3_pool"), images, np.zeros(3, np.uint16), vectors)
    return tmp_path


def test_the_store_is_shown_by_backbone_and_tap(held: Path) -> None:
    done = store(cwd=held)
    assert done.returncode == 0, done.stderr
    heading, row, *_ = done.stdout.splitlines()
    assert heading.split()[:2] == ["backbone", "tap"]
    assert row.split()[:2] == ["VGG16", "block3_pool"]


def test_an_empty_store_is_told(tmp_path: Path) -> None:
    assert store(cwd=tmp_path).stdout == f"{tmp_path / 'held'} holds no features.\n"


def test_pruning_removes_the_oldest_until_the_rest_fits(held: Path) -> None:
    assert "removed 0 segments, 0.0 MB" in store("prune", "--keep", "1", "--older-than", "2", cwd=held).stdout
    assert "removed 1 segments, 0.0 MB" in store("prune", "--keep", "0", cwd=held).stdout
    assert "holds no features" in store(cwd=held).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["prune"], 1, "graft store: error: expected --older-than DAYS, --keep GB, or both; found neither"),
        (["prune", "--keep", "-1"], 2, "argument --keep: expected a number of at least 0, found -1"),
        (["prune", "--keep", "x"], 2, "argument --keep: invalid number value: 'x'"),
        (["--store", "nowhere://x"], 1, "graft store: error: features.store must be a folder or an address"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(held: Path, arguments: list[str], code: int, told: str) -> None:
    done = store(*arguments, cwd=held)
    assert done.returncode == code
    assert told in done.stderr.splitlines()[-1]
