"""The committed weights: their file, and the accuracy that they are worth."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from starter.half_precision import save_half
from starter.pretraining import new_base
from starter.trial import digit_images, few_shot_accuracy, load_base, tap_features
from tasks.backbone.weight_source import STARTER
from tasks.common.errors import GraftError

MIN_ACCURACY = 0.92
MIN_MARGIN = 0.25


def test_the_committed_file_is_small_and_finite_and_holds_the_base_in_half_precision() -> None:
    """It is under a megabyte and contains nothing of the softmax of the pretraining."""
    values: list[np.ndarray] = []

    def collect(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            values.append(item[()])

    with h5py.File(STARTER, "r") as file:
        file.visititems(collect)
    assert STARTER.stat().st_size < 1_000_000
    assert {str(value.dtype) for value in values} == {"float16"}
    assert all(np.isfinite(value).all() for value in values)
    assert sum(value.size for value in values) == new_base().count_params()


def test_the_committed_weights_beat_random_ones_on_real_digits_by_a_wide_margin() -> None:
    """The last layer with 10 labelled images a class is right in 92 % or more, and 25 points ahead."""
    images, targets = digit_images()
    accuracy, control = (
        few_shot_accuracy(tap_features(base, images)[-1], targets, shots=10, splits=1)
        for base in (load_base(STARTER), new_base(seed=0))
    )
    assert accuracy >= MIN_ACCURACY
    assert accuracy - control >= MIN_MARGIN


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_missing_or_foreign_weights_file_ends_in_one_line_that_says_what_to_run(tmp_path: Path) -> None:
    path = tmp_path / "base.weights.h5"
    with pytest.raises(GraftError, match="found no file; make them: make starter$"):
        load_base(path)
    path.write_bytes(b"not HDF5")
    with pytest.raises(GraftError, match="found other content; make them: make starter$"):
        load_base(path)
    save_half(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), path)
    with pytest.raises(GraftError, match="found other content; make them: make starter$"):
        load_base(path)
