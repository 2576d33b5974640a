import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.onnx.int8.calibration import choose_grid
from tasks.onnx.int8.calibration_images import calibration_images
from tasks.onnx.sessions import Array


def round_to_grid(values: Array, scale: float, zero_point: int) -> Array:
    """Quantize values to uint8 and back."""
    return np.asarray((np.clip(np.rint(values / scale) + zero_point, 0, 255) - zero_point) * scale)


@given(st.integers(0, 2**32 - 1), st.floats(1e-12, 1e12), st.booleans())
def test_a_grid_contains_zero_and_is_wide_enough(seed: int, size: float, signed: bool) -> None:
    samples = size * np.random.default_rng(seed).normal(size=(6, 200))
    samples = samples if signed else np.abs(samples)
    scale, zero_point = choose_grid(samples, float(samples.min()), float(samples.max()))
    assert 0 <= zero_point <= 255
    assert zero_point > 0 or not signed
    errors = np.abs(round_to_grid(samples, scale, zero_point) - samples)
    assert errors.mean() <= 0.02 * np.abs(samples).mean()


def test_one_unusual_image_does_not_make_the_grid_coarse_for_the_others() -> None:
    samples = np.abs(np.random.default_rng(0).normal(size=(48, 1000)))
    samples[7] *= 1e4
    scale, _ = choose_grid(samples, 0, float(samples.max()))
    assert scale * 255 < 500


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0], ids=["zero", "positive", "negative"])
def test_a_constant_tensor_has_a_grid_that_contains_it(value: float) -> None:
    samples = np.full((4, 10), value)
    assert round_to_grid(samples, *choose_grid(samples, value, value)) == pytest.approx(samples)


@pytest.mark.parametrize("size", [8, 33, 64], ids="{} pixels".format)
def test_calibration_images_are_diverse_and_always_the_same(size: int) -> None:
    images = calibration_images(size)
    assert images.shape == (48, size, size, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, calibration_images(size))
    assert len({image.tobytes() for image in images}) >= 45
    assert (int(images.min()), int(images.max())) == (0, 255)
