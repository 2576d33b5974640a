"""The command that draws and trains, and the augmentation of the training images."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from starter.__main__ import main
from starter.glyphs import FACES
from starter.pretraining import augment
from starter.trial import load_base
from tasks.common.errors import GraftError


def test_the_command_writes_the_same_weights_twice(tmp_path: Path, face: Path) -> None:
    """Two runs of a few steps, side by side, write equal files that load into the network.

    In both, a font that the machine lacks is replaced by the one that comes with the tests.
    """
    fonts = tmp_path / ".fonts"
    fonts.mkdir()
    for name in (name for names in FACES.values() for name in names):
        (fonts / name).symlink_to(face)
    options = ["--images", "16", "--steps", "3", "--batch", "8", "--threads", "1", "--no-trial"]
    files = [tmp_path / "first.weights.h5", tmp_path / "second.weights.h5"]
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "starter", *options, "--out", str(file)],
            env=os.environ | {"HOME": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for file in files
    ]
    for run, file in zip(runs, files, strict=True):
        _, errors = run.communicate(timeout=300)
        assert run.returncode == 0, errors
        assert f"wrote {file} (669 kB)" in errors
    assert files[0].read_bytes() == files[1].read_bytes()
    load_base(files[0])


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
