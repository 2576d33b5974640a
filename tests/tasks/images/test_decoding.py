import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.common.errors import ImageError, QuarantineKind
from tasks.images.decoding import decode, read
from tests.tasks.conftest import ROOT, noise

PHOTO = Image.fromarray(noise(0, 6, 4))
# The directory of these EXIF data promises two entries and ends after the first, the orientation.
CORRUPT_EXIF = b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"


def encode(image: Image.Image, encoding: str, **options: Any) -> bytes:
    """Return the content of an image file."""
    file = BytesIO()
    image.save(file, encoding, **options)
    return file.getvalue()


@pytest.mark.parametrize("encoding", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_decode_to_the_pixels_that_were_written(encoding: str) -> None:
    pixels, name = decode(encode(PHOTO, encoding))
    assert name == encoding
    np.testing.assert_array_equal(pixels, np.asarray(PHOTO))


@pytest.mark.parametrize("encoding", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_decode_to_the_right_shape(encoding: str) -> None:
    pixels, name = decode(encode(PHOTO, encoding))
    assert (name, pixels.shape, pixels.dtype.name) == (encoding, (6, 4, 3), "uint8")


def test_the_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encode(PHOTO, "JPEG", exif=exif))[0].shape == (4, 6, 3)


def test_corrupt_exif_data_prints_nothing_and_its_intact_orientation_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(PHOTO, "JPEG", exif=CORRUPT_EXIF))
    code = (
        f"from tasks.images.decoding import read; from pathlib import Path; print(read(Path({str(path)!r})).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stderr == ""
    assert done.stdout == f"{np.rot90(decode(encode(PHOTO, 'JPEG'))[0], -1).tolist()}\n"


def test_transparent_parts_are_blended_with_white() -> None:
    assert decode(encode(Image.new("RGBA", (1, 1), (9, 9, 9, 0)), "PNG"))[0].tolist() == [[[255, 255, 255]]]


def test_sixteen_bit_greys_are_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.full((1, 1), 32896, dtype=np.uint16))
    assert decode(encode(grey, "PNG"))[0].tolist() == [[[128, 128, 128]]]


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        pytest.param(b"", QuarantineKind.EMPTY, "the file is empty", id="empty"),
        pytest.param(
            b"text",
            QuarantineKind.UNKNOWN_FORMAT,
            "not an image in a known format (JPEG, PNG, WEBP, BMP, GIF, TIFF)",
            id="text",
        ),
        pytest.param(
            encode(Image.fromarray(np.full((1, 1), -1, dtype=np.float32)), "TIFF"),
            QuarantineKind.UNKNOWN_FORMAT,
            "grey values from -1 to -1 do not fit 16 bits",
            id="negative greys",
        ),
    ],
)
def test_content_that_is_no_usable_image_is_refused_with_the_reason(
    content: bytes, kind: QuarantineKind, reason: str
) -> None:
    with pytest.raises(ImageError) as caught:
        decode(content)
    assert (caught.value.kind, str(caught.value)) == (kind, reason)


def test_a_truncated_image_is_refused_as_damaged() -> None:
    with pytest.raises(ImageError, match="^damaged: ") as caught:
        decode(encode(PHOTO.resize((200, 200)), "PNG")[:-2000])
    assert caught.value.kind == QuarantineKind.DAMAGED


def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ImageError) as caught:
        decode(encode(PHOTO, "PNG")[:50], max_megapixels=0.00001)  # the header alone
    assert caught.value.kind == QuarantineKind.TOO_LARGE
    assert str(caught.value) == "4x6 pixels are more than 1e-05 megapixels"


def test_a_file_is_decoded_like_its_content_and_a_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encode(PHOTO, "PNG"))
    np.testing.assert_array_equal(read(tmp_path / "photo.png"), np.asarray(PHOTO))
    with pytest.raises(ImageError, match="^cannot be read: No such file or directory$"):
        read(tmp_path / "missing.png")
