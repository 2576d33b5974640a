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
from tasks.images.decoding import MAX_METADATA_BYTES, Pixels, decode, read, version
from tests.tasks.conftest import ROOT, noise
from tests.tasks.images.valid_files import GREY, LAYER, PICTURE, VALID_FILES, binary_map, encode

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


@pytest.mark.parametrize("name", VALID_FILES)
def test_a_file_of_every_format_is_decoded(name: str) -> None:
    encoding, content = VALID_FILES[name]
    image = decode(content)
    assert (image.format, image.width, image.height) == (encoding, 64, 48)
    assert (image.pixels.shape, image.pixels.dtype.name) == ((48, 64, 3), "uint8")


@pytest.mark.parametrize(
    "name",
    [
        "PNG",
        "PNG animated",
        "BMP",
        "TIFF",
        "TIFF pages",
        "JPEG2000",
        "JPEG2000 tiles",
        "PPM",
        "PPM text",
        "PPM 10 bits",
        "TGA",
        "TGA without signature",
    ],
)
def test_lossless_formats_decode_to_the_pixels_that_were_written(name: str) -> None:
    np.testing.assert_array_equal(decode(VALID_FILES[name][1]).pixels, np.asarray(PICTURE))


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("JPEG", 10), ("MPO", 10), ("WEBP", 11), ("GIF", 16), ("AVIF", 5), ("HEIF", 13), ("HEIF 10 bits", 13)],
)
def test_lossy_formats_decode_to_nearly_the_pixels_that_were_written(name: str, tolerance: int) -> None:
    np.testing.assert_allclose(decode(VALID_FILES[name][1]).pixels, np.asarray(PICTURE), atol=tolerance)


@pytest.mark.parametrize(
    "name", ["PNG alpha", "WEBP lossless alpha", "AVIF alpha", "HEIF alpha", "JPEG2000 alpha", "TGA compressed alpha"]
)
def test_transparent_parts_of_every_format_are_blended_with_white(name: str) -> None:
    opacity = np.asarray(LAYER)[..., 3:] / 255
    expected = np.asarray(PICTURE) * opacity + 255 * (1 - opacity)
    np.testing.assert_allclose(decode(VALID_FILES[name][1]).pixels, expected, atol=14)


@pytest.mark.parametrize("name", ["PNG 16 bits", "TIFF 16 bits", "TIFF floats", "JPEG2000 16 bits", "PGM", "PFM"])
def test_deep_greys_of_every_format_decode_to_the_greys_of_8_bits(name: str) -> None:
    np.testing.assert_array_equal(decode(VALID_FILES[name][1]).pixels, np.asarray(GREY.convert("RGB")))


@pytest.mark.parametrize("maximum", [1, 31, 254, 255, 256, 1023, 4095, 65534, 65535])
@pytest.mark.parametrize("image", [pytest.param(GREY, id="PGM"), pytest.param(PICTURE, id="PPM")])
def test_portable_maps_are_scaled_by_the_maximum_in_their_header_as_pillow_does(
    image: Image.Image, maximum: int
) -> None:
    content = binary_map(image, maximum)
    pillow = np.asarray(Image.open(BytesIO(content)))
    if pillow.dtype != np.uint8:
        pillow = (pillow / 257).round().astype(np.uint8)
    wanted = (np.asarray(image).astype(int) * maximum // 255) / maximum * 255
    pixels = decode(content).pixels
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], pillow[..., channel] if pillow.ndim > 2 else pillow)
        np.testing.assert_allclose(pixels[..., channel], wanted[..., channel] if wanted.ndim > 2 else wanted, atol=0.51)


def test_samples_above_the_maximum_of_a_portable_map_are_white() -> None:
    assert decode(b"P5 2 1 100\n" + bytes([200, 50])).pixels.tolist() == [[[255] * 3, [128] * 3]]


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
        pytest.param("PPM", "float32", [0, 0.5, 1], [0, 128, 255], id="floats from 0 to 1 in a PFM file"),
        pytest.param("PPM", "float32", [0, 127.6, 255], [0, 128, 255], id="floats from 0 to 255 in a PFM file"),
        pytest.param("PPM", "uint16", [0, 1023, 4095], [0, 4, 16], id="dark 16-bit PGM: its header gives the range"),
        pytest.param("JPEG2000", "uint16", [0, 1023, 4095], [0, 4, 16], id="dark 16-bit JPEG 2000"),
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
            "not an image in a known format (JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, HEIC, JPEG 2000, PPM, TGA)",
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


def photo(height: int, width: int) -> Image.Image:
    """Return a picture with shapes of many sizes, as in a photograph."""
    generator = np.random.default_rng(0)
    layers = [
        Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((width, height), 3)
        for side in (3, 10, 40)
    ]
    return Image.blend(Image.blend(layers[0], layers[1], 0.4), layers[2], 0.2)


@pytest.mark.parametrize(
    ("size", "min_side", "scaled"),
    [
        pytest.param((640, 480), 60, (80, 60), id="an eighth"),
        pytest.param((640, 480), 61, (160, 120), id="a quarter"),
        pytest.param((640, 480), 121, (320, 240), id="a half"),
        pytest.param((640, 480), 241, (640, 480), id="no scale is small enough"),
        pytest.param((640, 480), 1, (80, 60), id="never below an eighth"),
        pytest.param((480, 640), 60, (60, 80), id="upright"),
        pytest.param((647, 481), 60, (81, 61), id="sides that 8 does not divide"),
        pytest.param((640, 30), 60, (640, 30), id="an image that is smaller"),
    ],
)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="baseline"),
        pytest.param({"progressive": True}, id="progressive"),
        pytest.param({"subsampling": "4:4:4"}, id="full colour"),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_keeps_both_sides(
    size: tuple[int, int], min_side: int, scaled: tuple[int, int], options: dict[str, Any]
) -> None:
    image = decode(encode(photo(size[1], size[0]), "JPEG", **options), min_side=min_side)
    assert image.pixels.shape == (scaled[1], scaled[0], 3)
    assert (image.width, image.height) == size


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("size", [(320, 240), (1001, 1008)], ids=["wide", "square at a reduced scale"])
def test_a_scaled_jpeg_is_upright_and_its_size_that_of_the_whole_image(value: int, size: tuple[int, int]) -> None:
    content = encode(photo(size[1], size[0]), "JPEG", exif=orientation(value))
    exact, scaled = decode(content), decode(content, min_side=16)
    assert scaled[1:] == exact[1:]
    assert scaled.pixels.shape == (-(-exact.height // 8), -(-exact.width // 8), 3)
    small = np.asarray(Image.fromarray(exact.pixels).resize(scaled.pixels.shape[1::-1], Image.Resampling.BOX))
    assert np.abs(small.astype(int) - scaled.pixels).mean() < 4


@pytest.mark.parametrize(
    ("mode", "encoding"), [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "MPO"), ("L", "MPO")]
)
def test_scaled_pixels_are_nearly_those_of_exact_decoding_after_both_are_resized(mode: str, encoding: str) -> None:
    image = photo(960, 1280).convert(mode)
    content = encode(image, encoding, save_all=encoding == "MPO", append_images=[image], quality=90)
    exact, scaled = (
        np.asarray(
            Image.fromarray(decode(content, min_side=min_side).pixels).resize((96, 96), Image.Resampling.BILINEAR)
        )
        for min_side in (None, 192)
    )
    differences = np.abs(np.asarray(exact).astype(int) - np.asarray(scaled))
    assert differences.max() <= 4
    assert differences.mean() < 0.3


@pytest.mark.parametrize(
    "name", [name for name, (encoding, _) in VALID_FILES.items() if encoding not in {"JPEG", "MPO"}]
)
def test_formats_without_scales_are_decoded_exactly(name: str) -> None:
    content = VALID_FILES[name][1]
    np.testing.assert_array_equal(decode(content, min_side=8).pixels, decode(content).pixels)


@pytest.mark.parametrize("min_side", [None, 16, 100], ids=["exact", "an eighth", "a half"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_truncated_jpeg_is_refused_at_every_scale(
    min_side: int | None, share: float, options: dict[str, Any]
) -> None:
    content = encode(photo(240, 320), "JPEG", **options)
    with pytest.raises(ImageError, match="^damaged: image file is truncated") as caught:
        decode(content[: int(share * len(content))], min_side=min_side)
    assert caught.value.kind == QuarantineKind.DAMAGED


def test_the_limit_of_pixels_holds_for_the_whole_image_at_a_reduced_scale() -> None:
    with pytest.raises(ImageError, match=r"^640x480 pixels are more than 0.3 megapixels$"):
        decode(encode(photo(480, 640), "JPEG"), max_megapixels=0.3, min_side=60)


def test_the_version_of_pixels_depends_on_the_scale() -> None:
    assert (version(), version(448), version(128)) == ("1", "1, scaled 1, 448", "1, scaled 1, 128")


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
