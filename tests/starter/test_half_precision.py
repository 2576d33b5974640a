"""Pretraining, the weights file and what the committed weights are worth."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from starter.__main__ import main
from starter.half_precision import COMMITTED, save_half
from starter.pretraining import augment, new_base
from starter.trial import digit_images, few_shot_accuracy, load_base, tapped_features
from tasks.common.errors import GraftError

LEAST_ACCURACY = 0.92
LEAST_MARGIN = 0.25


@pytest.mark.usefixtures("fonts")
def test_the_command_trains_the_same_bytes_twice(tmp_path: Path) -> None:
    """Two runs of a few steps, side by side, write equal files that load into the network."""
    small = ["--images", "64", "--steps", "3", "--batch", "8", "--threads", "1", "--no-trial"]
    files = [tmp_path / name for name in ("one.weights.h5", "two.weights.h5")]
    command = [sys.executable, "-m", "starter", *small, "--out"]
    runs = [subprocess.Popen([*command, str(file)], stderr=subprocess.PIPE, text=True) for file in files]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors
    assert files[0].read_bytes() == files[1].read_bytes()
    load_base(files[0])


def test_augmentation_changes_a_copy_and_keeps_the_format() -> None:
    """A picture stays bytes of its shape; the cached original is left alone."""
    picture = np.arange(64 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(64, 64, 3)
    before = picture.copy()
    changed = augment(picture, np.random.default_rng(0))
    assert changed.shape == picture.shape
    assert changed.dtype == np.uint8
    assert np.array_equal(picture, before)
    assert not np.array_equal(changed, before)


def test_weights_come_back_in_half_precision_and_the_same_bytes(tmp_path: Path) -> None:
    """Saving twice gives equal files; loading gives the weights to 11 bits."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    for name in ("one", "two"):
        save_half(model, tmp_path / f"{name}.weights.h5")
    assert (tmp_path / "one.weights.h5").read_bytes() == (tmp_path / "two.weights.h5").read_bytes()
    expected = model.get_weights()
    model.set_weights([np.zeros_like(weight) for weight in expected])
    model.load_weights(tmp_path / "one.weights.h5")
    for weight, found in zip(expected, model.get_weights(), strict=True):
        np.testing.assert_allclose(found, weight, rtol=2**-11)


def test_weights_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    """An infinity is never written in place of a number, and no file is left."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.set_weights([np.full_like(weight, 1e6) for weight in model.get_weights()])
    with pytest.raises(ValueError, match="half precision"):
        save_half(model, tmp_path / "big.weights.h5")
    assert list(tmp_path.iterdir()) == []


def test_the_committed_file_is_small_finite_and_half_precision() -> None:
    """Under a megabyte, float16 throughout, with no softmax of the pretraining inside."""
    kinds: set[str] = set()
    count = 0

    def visit(_: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal count
        if isinstance(item, h5py.Dataset):
            assert np.isfinite(item[()]).all()
            kinds.add(str(item.dtype))
            count += item.size

    with h5py.File(COMMITTED, "r") as file:
        file.visititems(visit)
    assert COMMITTED.stat().st_size < 1_000_000
    assert kinds == {"float16"}
    assert count == new_base().count_params()


def test_the_committed_weights_beat_random_ones_on_real_digits_by_a_wide_margin() -> None:
    """With 10 labels a class, frozen last-layer features and a linear classifier: 92 % or more, 25 points ahead."""
    pictures, labels = digit_images()
    found, control = (
        few_shot_accuracy(tapped_features(base, pictures)[-1], labels, shots=10, splits=3)
        for base in (load_base(COMMITTED), new_base(seed=0))
    )
    assert found >= LEAST_ACCURACY
    assert found - control >= LEAST_MARGIN


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_missing_or_foreign_weights_file_ends_in_one_line(tmp_path: Path) -> None:
    """The error says what to run."""
    path = tmp_path / "base.weights.h5"
    with pytest.raises(GraftError, match="make starter"):
        load_base(path)
    path.write_bytes(b"not HDF5")
    with pytest.raises(GraftError, match="make starter"):
        load_base(path)
    save_half(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), path)
    with pytest.raises(GraftError, match="make starter"):
        load_base(path)


@pytest.mark.parametrize("option", ["--images", "--steps", "--batch", "--threads", "--splits"])
def test_a_number_below_one_is_refused_by_name(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, what was expected and what was found are in the line."""
    monkeypatch.setattr(sys, "argv", ["starter", option, "0"])
    with pytest.raises(GraftError, match=f"{option}: expected 1 or more, found 0"):
        main()
