from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tasks.dataset.quality import Quality, measure_quality
from tasks.images.decoding import decode
from tests.tasks.conftest import noise


def make_photo(side: int, seed: int = 0) -> Image.Image:
    """Return coarse colours with the structure of a photo: large areas, edges and some grain."""
    blocks = Image.fromarray(noise(seed, 9, 12)).resize((side * 4 // 3, side), Image.Resampling.BICUBIC)
    edges = Image.fromarray(noise(seed + 1, 30, 40)).resize(blocks.size, Image.Resampling.NEAREST)
    return Image.blend(blocks, edges, 0.3)


FLAT = {"contrast": 0, "entropy": 0, "sharpness": 0}


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ("black", {"is_grey": True, "brightness": 0, "shadows": 0, "highlights": 0}),
        ("white", {"is_grey": True, "brightness": 1, "shadows": 1, "highlights": 1}),
        # The root of 0.241, 0.691 and 0.068, in 255 steps.
        ("#f00", {"is_grey": False, "brightness": 125 / 255, "shadows": 125 / 255, "highlights": 125 / 255}),
        ("#0f0", {"is_grey": False, "brightness": 212 / 255, "shadows": 212 / 255, "highlights": 212 / 255}),
        ("#00f", {"is_grey": False, "brightness": 66 / 255, "shadows": 66 / 255, "highlights": 66 / 255}),
    ],
)
def test_a_picture_of_one_colour_has_its_brightness_and_nothing_else(colour: str, expected: dict[str, float]) -> None:
    quality = measure_quality(Image.new("RGB", (40, 30), colour))
    assert quality._asdict() == pytest.approx(expected | FLAT, abs=1e-6)


def test_half_black_and_half_white_has_one_bit_and_full_contrast() -> None:
    image = Image.new("RGB", (40, 40))
    image.paste("white", (0, 0, 20, 40))
    quality = measure_quality(image)
    assert (quality.brightness, quality.contrast, quality.entropy) == (0.5, 0.5, 1.0)
    assert (quality.shadows, quality.highlights) == (0, 1)


def test_one_coloured_pixel_makes_a_picture_not_grey() -> None:
    image = Image.new("RGB", (40, 30), "#777")
    assert measure_quality(image).is_grey
    image.putpixel((3, 4), (120, 119, 119))
    assert not measure_quality(image).is_grey


def test_entropy_is_the_mean_of_that_of_the_channels() -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[..., 0] = np.arange(256).reshape(16, 16)
    assert measure_quality(Image.fromarray(pixels)).entropy == pytest.approx(8 / 3)


def test_blur_lowers_the_sharpness_whatever_the_size_and_the_brightness() -> None:
    for side in (60, 250, 1000):
        sharp = make_photo(side)
        blurred = sharp.filter(ImageFilter.GaussianBlur(side / 15))
        assert measure_quality(blurred).sharpness < 0.3 * measure_quality(sharp).sharpness
        assert measure_quality(blurred.point(lambda level: level // 4 + 190)).sharpness < 0.02


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 2), (3, 1000)])
def test_tiny_and_narrow_pictures_have_finite_statistics(size: tuple[int, int]) -> None:
    assert all(np.isfinite(measure_quality(Image.fromarray(noise(0, size[1], size[0])))))


def test_statistics_of_a_scaled_decoding_are_close_to_those_of_all_pixels() -> None:
    for seed in range(2):
        buffer = BytesIO()
        make_photo(1024, seed).save(buffer, "JPEG", quality=90)
        whole, scaled = decode(buffer.getvalue()).pixels, decode(buffer.getvalue(), min_side=128).pixels
        assert (whole.shape[0], scaled.shape[0]) == (1024, 128)
        expected, quality = (measure_quality(Image.fromarray(pixels)) for pixels in (whole, scaled))
        assert quality[1:5] == pytest.approx(expected[1:5], abs=0.02)
        assert quality.entropy == pytest.approx(expected.entropy, abs=0.1)
        assert quality.sharpness == pytest.approx(expected.sharpness, rel=0.1)


def test_numbers_are_those_that_the_manifest_keeps() -> None:
    quality = measure_quality(make_photo(100))
    assert quality == Quality(quality.is_grey, *(float(np.float32(value)) for value in quality[1:]))
