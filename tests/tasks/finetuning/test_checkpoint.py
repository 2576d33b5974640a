import os
from pathlib import Path

import numpy as np
import pytest

from tasks.finetuning import checkpoint
from tasks.finetuning.checkpoint import Checkpoint
from tasks.onnx.sessions import Array

HISTORY: list[dict[str, float | None]] = [
    {"epoch": 0, "train_loss": None, "train_accuracy": None, "val_loss": 0.1 + 0.2, "val_accuracy": 1 / 3},
    {"epoch": 1, "train_loss": 1e-17, "train_accuracy": 0.5, "val_loss": 2.5, "val_accuracy": 0.25},
]


def state() -> Checkpoint:
    random = np.random.default_rng(0)
    # More than ten, so that their names do not sort as their numbers do.
    weights = [random.normal(size=(2, 3)).astype(np.float32) for _ in range(12)]
    optimizer: list[Array] = [np.array(7, np.int64), np.array(1e-3, np.float32), *weights]
    return Checkpoint(HISTORY, 0, weights, weights[::-1], optimizer)


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "any.safetensors"
    checkpoint.write(file, state())
    written = checkpoint.read(file)
    assert written is not None
    assert (written.history, written.best_epoch, written.epoch) == (HISTORY, 0, 1)
    for group in ("weights", "best", "optimizer"):
        for value, expected in zip(getattr(written, group), getattr(state(), group), strict=True):
            assert (value.dtype, value.shape, value.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("kept", [0, 7, 100, -1], ids=["empty", "no header", "half a header", "a byte short"])
def test_a_damaged_checkpoint_counts_as_none(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "any.safetensors"
    checkpoint.write(file, state())
    file.write_bytes(file.read_bytes()[:kept])
    assert checkpoint.read(file) is None


def test_a_missing_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path / "any.safetensors") is None


def test_checkpoints_that_no_run_has_touched_for_a_month_are_removed(tmp_path: Path) -> None:
    for name, days in (("old", 31), ("new", 29)):
        file = tmp_path / name
        file.touch()
        modified = file.stat().st_mtime - days * 86_400
        os.utime(file, (modified, modified))
    checkpoint.prune(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["new"]
