"""The command that draws and trains, and the augmentation of the training images."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from starter.__main__ import main
from starter.glyphs import FACES
from starter.half_precision import save_half
from starter.pretraining import TrainingSettings, augment, new_base, pretrain
from starter.trial import load_base
from tasks.common.errors import GraftError


@pytest.fixture
def home(tmp_path: Path, face: Path) -> Path:
    """Make a home folder in which every font is the one that comes with the tests, for fonts that the machine lacks."""
    fonts = tmp_path / ".fonts"
    fonts.mkdir()
    for name in (name for names in FACES.values() for name in names):
        (fonts / name).symlink_to(face)
    return tmp_path


def test_pretraining_changes_a_base_whose_weights_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    base = pretrain(images, np.arange(16, dtype=np.int32), 16, TrainingSettings(steps=3, batch=4))
    assert "step 3: loss " in capsys.readouterr().err
    save_half(base, tmp_path / "new.weights.h5")
    loaded = load_base(tmp_path / "new.weights.h5")
    for trained, untrained, weight in zip(
        base.trainable_weights, new_base(0).trainable_weights, loaded.trainable_weights, strict=True
    ):
        assert not np.array_equal(trained, untrained)
        np.testing.assert_array_equal(weight, np.asarray(trained).astype(np.float16))


@pytest.mark.thorough
def test_the_command_draws_and_trains_and_writes_the_same_weights_twice(home: Path) -> None:
    """Two runs of a few steps, side by side, write equal files that load into the network."""
    paths = [home / "first.weights.h5", home / "second.weights.h5"]
    for run, path in zip([_start(path, home) for path in paths], paths, strict=True):
        _, errors = run.communicate(timeout=300)
        assert run.returncode == 0, errors
        assert errors.startswith("drawing images: 16/16 images in ")
        assert errors.endswith(f"wrote {path} (669 kB)\n")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    load_base(paths[0])


@pytest.mark.parametrize("option", ["--images", "--steps", "--batch", "--threads", "--splits"])
def test_a_number_below_one_is_refused_by_name(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["starter", option, "0"])
    with pytest.raises(GraftError, match=f"{option}: expected 1 or more, found 0"):
        main()


def test_augmentation_returns_a_changed_copy_of_the_same_format() -> None:
    image = np.arange(64 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(64, 64, 3)
    original = image.copy()
    augmented = augment(image, np.random.default_rng(0))
    assert augmented.shape == image.shape
    assert augmented.dtype == np.uint8
    assert np.array_equal(image, original)
    assert not np.array_equal(augmented, original)


def _start(path: Path, home: Path) -> subprocess.Popen[str]:
    """Start a run of a few steps that writes `path`."""
    options = ["--images", "16", "--steps", "3", "--batch", "8", "--threads", "1", "--no-trial", "--out", str(path)]
    command = [sys.executable, "-m", "starter", *options]
    return subprocess.Popen(command, env=os.environ | {"HOME": str(home)}, stderr=subprocess.PIPE, text=True)
