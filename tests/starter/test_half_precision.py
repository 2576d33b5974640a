"""Weights files in half precision."""

from pathlib import Path

import keras
import numpy as np
import pytest

from starter.half_precision import save_half


def test_weights_come_back_rounded_to_half_precision_from_the_same_bytes(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    for name in ("first", "second"):
        save_half(model, tmp_path / f"{name}.weights.h5")
    assert (tmp_path / "first.weights.h5").read_bytes() == (tmp_path / "second.weights.h5").read_bytes()
    weights = model.get_weights()
    model.set_weights([np.zeros_like(weight) for weight in weights])
    model.load_weights(tmp_path / "first.weights.h5")
    for weight, loaded in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, weight.astype(np.float16).astype(np.float32))


def test_weights_too_large_for_half_precision_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.set_weights([np.full_like(weight, 1e6) for weight in model.get_weights()])
    with pytest.raises(ValueError, match="a weight is not finite in half precision"):
        save_half(model, tmp_path / "big.weights.h5")
    assert list(tmp_path.iterdir()) == []
