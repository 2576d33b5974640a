import struct
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from tasks.common.errors import ImageError, QuarantineKind
from tasks.images.decoding import MAX_METADATA_BYTES, Pixels, decode, read
from tests.tasks.conftest import ROOT, noise

PHOTO = Image.fromarray(noise(0, 6, 4))
# The directory of these EXIF data promises two entries and ends after the first, the orientation.
CORRUPT_EXIF = b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"


def exif_data(*entries: bytes) -> bytes:
    """Return EXIF data with these entries, and after them a rational of -1/0, at byte 38 if there are two entries."""
    return (
        b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<4xii", -1, 0)
    )


UPRIGHT = struct.pack("<HHIHH", 0x112, 3, 1, 6, 0)  # a quarter turn clockwise
BAD_RATIONAL = struct.pack("<HHII", 0x11A, 10, 1, 38)  # Pillow reads it, but fails to write it


def encode(image: Image.Image, encoding: str, **options: Any) -> bytes:
    """Return the content of an image file."""
    file = BytesIO()
    image.save(file, encoding, **options)
    return file.getvalue()


@pytest.mark.parametrize("encoding", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_decode_to_the_pixels_that_were_written(encoding: str) -> None:
    pixels, name, *_ = decode(encode(PHOTO, encoding))
    assert name == encoding
    np.testing.assert_array_equal(pixels, np.asarray(PHOTO))


@pytest.mark.parametrize("encoding", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_decode_to_the_right_shape(encoding: str) -> None:
    pixels, name, *_ = decode(encode(PHOTO, encoding))
    assert (name, pixels.shape, pixels.dtype.name) == (encoding, (6, 4, 3), "uint8")


def orientation(value: int) -> Image.Exif:
    """Return EXIF data that hold an orientation alone."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("encoding", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("value", "upright"),
    [
        pytest.param(1, lambda pixels: pixels, id="1: as stored"),
        pytest.param(2, lambda pixels: pixels[:, ::-1], id="2: mirrored left to right"),
        pytest.param(3, lambda pixels: pixels[::-1, ::-1], id="3: half a turn"),
        pytest.param(4, lambda pixels: pixels[::-1], id="4: mirrored top to bottom"),
        pytest.param(5, lambda pixels: pixels.swapaxes(0, 1), id="5: transposed"),
        pytest.param(6, lambda pixels: np.rot90(pixels, -1), id="6: quarter turn clockwise"),
        pytest.param(7, lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1), id="7: transposed along the other diagonal"),
        pytest.param(8, np.rot90, id="8: quarter turn anticlockwise"),
        pytest.param(0, lambda pixels: pixels, id="0: undefined"),
        pytest.param(9, lambda pixels: pixels, id="9: undefined"),
    ],
)
def test_the_exif_orientation_is_applied(value: int, upright: Callable[[Pixels], Pixels], encoding: str) -> None:
    pixels = decode(encode(PHOTO, encoding, exif=orientation(value)))[0]
    np.testing.assert_array_equal(pixels, upright(np.asarray(PHOTO)))


@pytest.mark.parametrize(
    ("exif", "quarter_turns"),
    [
        pytest.param(exif_data(UPRIGHT, BAD_RATIONAL), -1, id="good orientation beside a rational of -1/0"),
        pytest.param(exif_data(struct.pack("<HHI4s", 0x112, 2, 2, b"6")), 0, id="orientation that is text"),
        pytest.param(exif_data(struct.pack("<HHI4s", 0x112, 7, 4, b"\6")), 0, id="orientation that is bytes"),
        pytest.param(exif_data(struct.pack("<HHII", 0x112, 5, 1, 26)), 0, id="orientation of -1/0"),
        pytest.param(b"Exif\0\0no directory at all", 0, id="no directory"),
        pytest.param(b"Exif\0\0II*\0", 0, id="header cut off"),
    ],
)
@pytest.mark.parametrize("encoding", ["JPEG", "PNG", "WEBP"])
def test_bad_exif_values_do_not_refuse_the_pixels(exif: bytes, quarter_turns: int, encoding: str) -> None:
    plain = decode(encode(PHOTO, encoding))[0]
    np.testing.assert_array_equal(decode(encode(PHOTO, encoding, exif=exif))[0], np.rot90(plain, quarter_turns))


@pytest.mark.parametrize("orientation_tag", [{}, {0x0112: 6}], ids=["no orientation", "orientation 6"])
@pytest.mark.parametrize(
    ("xmp", "kind"), [pytest.param(5, 4, id="an integer"), pytest.param("<x:xmpmeta/>", 2, id="text")]
)
def test_xmp_of_a_wrong_type_does_not_refuse_the_pixels(
    xmp: int | str, kind: int, orientation_tag: dict[int, int]
) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700] = xmp
    tags.tagtype[700] = kind
    for tag, value in orientation_tag.items():
        tags[tag] = value
    upright = np.rot90(np.asarray(PHOTO), -len(orientation_tag))
    np.testing.assert_array_equal(decode(encode(PHOTO, "TIFF", tiffinfo=tags))[0], upright)


def text_chunk(size: int) -> PngImagePlugin.PngInfo:
    """Return a compressed chunk of XMP that expands to `size` bytes."""
    chunk = PngImagePlugin.PngInfo()
    chunk.add_itxt("XML:com.adobe.xmp", "x" * size, zip=True)
    return chunk


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"icc_profile": b"a" * 2_000_000}, id="colour profile of 2 MB"),
        pytest.param({"pnginfo": text_chunk(2_000_000)}, id="XMP of 2 MB"),
    ],
)
def test_large_metadata_does_not_refuse_the_pixels(options: dict[str, Any]) -> None:
    np.testing.assert_array_equal(decode(encode(PHOTO, "PNG", **options))[0], np.asarray(PHOTO))


def test_metadata_that_expand_to_more_than_64_megabytes_are_refused_as_damaged() -> None:
    with pytest.raises(ImageError, match="^damaged: Decompressed data too large") as caught:
        decode(encode(PHOTO, "PNG", pnginfo=text_chunk(MAX_METADATA_BYTES + 1)))
    assert caught.value.kind == QuarantineKind.DAMAGED


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


@pytest.mark.parametrize(
    ("encoding", "dtype", "values", "greys"),
    [
        pytest.param("PNG", "uint16", [0, 32896, 65535], [0, 128, 255], id="16-bit PNG"),
        pytest.param("PNG", "uint16", [0, 1023, 4095], [0, 4, 16], id="dark 16-bit PNG: its format defines the range"),
        pytest.param("TIFF", "uint16", [0, 32896, 65535], [0, 128, 255], id="16 bits in a TIFF file"),
        pytest.param("TIFF", "uint16", [0, 8192, 16383], [0, 128, 255], id="14 bits"),
        pytest.param("TIFF", "uint16", [0, 2048, 4095], [0, 128, 255], id="12 bits"),
        pytest.param("TIFF", "uint16", [0, 512, 1023], [0, 128, 255], id="10 bits"),
        pytest.param("TIFF", "uint16", [0, 128, 255], [0, 128, 255], id="8 bits in 16"),
        pytest.param("TIFF", "uint16", [0, 1023, 1024], [0, 64, 64], id="just above 10 bits"),
        pytest.param("TIFF", ">u2", [0, 2048, 4095], [0, 128, 255], id="12 bits, big-endian"),
        pytest.param("TIFF", "int32", [0, 128, 255], [0, 128, 255], id="8 bits in 32"),
        pytest.param("TIFF", "int32", [0, 1, 1], [0, 1, 1], id="almost black integers are not a range of 0 to 1"),
        pytest.param("TIFF", "float32", [0, 0.5, 1], [0, 128, 255], id="floats from 0 to 1"),
        pytest.param("TIFF", "float32", [0, 0.25, 0.5], [0, 64, 128], id="dark floats from 0 to 1"),
        pytest.param("TIFF", "float32", [0, 127.6, 255], [0, 128, 255], id="floats from 0 to 255"),
        pytest.param("TIFF", "float32", [0, 0, 0], [0, 0, 0], id="black"),
    ],
)
def test_greys_of_more_than_8_bits_are_scaled_by_their_full_range(
    encoding: str, dtype: str, values: list[float], greys: list[int]
) -> None:
    image = Image.fromarray(np.array([values], dtype=dtype))
    assert decode(encode(image, encoding))[0].tolist() == [[[grey] * 3 for grey in greys]]


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
        pytest.param(
            encode(Image.fromarray(np.array([[7, 65536]], dtype=np.int32)), "TIFF"),
            QuarantineKind.UNKNOWN_FORMAT,
            "grey values from 7 to 65536 do not fit 16 bits",
            id="greys above 16 bits",
        ),
        pytest.param(
            encode(Image.fromarray(np.array([[0, np.nan]], dtype=np.float32)), "TIFF"),
            QuarantineKind.UNKNOWN_FORMAT,
            "grey values from nan to nan do not fit 16 bits",
            id="greys that are no numbers",
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
