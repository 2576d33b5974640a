from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tasks.common.errors import ImageError
from tasks.images.decoding import decode


def encoded(image: Image.Image, encoding: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, encoding, **options)
    return file.getvalue()


PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8))


@pytest.mark.parametrize("encoding", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_decode_to_the_pixels_that_were_written(encoding: str) -> None:
    pixels, found = decode(encoded(PICTURE, encoding))
    assert found == encoding
    np.testing.assert_array_equal(pixels, np.asarray(PICTURE))


@pytest.mark.parametrize("encoding", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_decode_to_the_right_shape(encoding: str) -> None:
    pixels, found = decode(encoded(PICTURE, encoding))
    assert (found, pixels.shape, pixels.dtype) == (encoding, (6, 4, 3), np.uint8)


def test_the_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(PICTURE, "JPEG", exif=exif))[0].shape == (4, 6, 3)


def test_transparent_parts_are_laid_over_white() -> None:
    assert decode(encoded(Image.new("RGBA", (1, 1), (9, 9, 9, 0)), "PNG"))[0].tolist() == [[[255, 255, 255]]]


def test_sixteen_bit_greys_are_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.full((1, 1), 32896, dtype=np.uint16))
    assert decode(encoded(grey, "PNG"))[0].tolist() == [[[128, 128, 128]]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image", "not an image in a known format (JPEG, PNG, WEBP, BMP, GIF, TIFF)"),
    ],
)
def test_bytes_that_are_no_image_are_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(content)
    assert str(caught.value) == reason


def test_a_truncated_image_is_refused_as_damaged() -> None:
    with pytest.raises(ImageError, match="^damaged: "):
        decode(encoded(PICTURE.resize((200, 200)), "PNG")[:-2000])


def test_an_image_of_too_many_pixels_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(ImageError) as caught:
        decode(encoded(PICTURE, "PNG"), max_megapixels=0.00001)
    assert str(caught.value) == "4x6 pixels are more than 1e-05 megapixels"
