import struct
import sys

import numpy as np
import pytest
from PIL import Image

from tasks.common.errors import ImageError, QuarantineKind
from tasks.images.formats import FORMATS, HEAD_BYTES, LISTING, TAIL_BYTES, identify, open_image
from tests.tasks.images.valid_files import VALID_FILES, plain_map

UNKNOWN = f"not an image in a known format ({LISTING})"
TGA_HEADER = struct.pack("<3B2HB4H2B", 0, 0, 2, 0, 0, 0, 0, 0, 64, 48, 24, 0)

NO_IMAGES = {
    "nothing": b"",
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "text": b"Meeting at noon.\n" * 100,
    "text that begins like BMP": b"BMW, Audi and other makes of cars" * 10,
    "text that begins like PPM": b"P5 is a club in town" * 10,
    "text that begins like TIFF": b"MM and other companies" * 10,
    "text that begins like GIF": b"GIFs are fun" * 10,
    "sound": b"RIFF\x24\x08\0\0WAVEfmt " + bytes(100),
    "video": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(100),
    "font": b"\0\1\0\0\0\x0f\0\x80\0\3\0\x70" + bytes(100),
    "cursor": b"\0\0\2\0\1\0\x20\x20\0\0\1\0\1\0\x30\1\0\0\x16\0\0\0" + bytes(100),
    "MPEG program stream": b"\0\0\1\xba\x44\0\4\0\4\1\1\x89\xc3\xf8" + bytes(100),
    "TGA of no pixels": TGA_HEADER[:12] + bytes(4) + TGA_HEADER[16:],
    "TGA of an odd depth": TGA_HEADER[:16] + b"\x0b\0" + bytes(100),
    "TGA with a palette that is not used": TGA_HEADER[:5] + b"\1" + TGA_HEADER[6:] + bytes(100),
    "TGA cut off in the header": TGA_HEADER[:17],
}


@pytest.mark.parametrize("name", VALID_FILES)
def test_a_file_of_every_format_is_identified_by_its_ends(name: str) -> None:
    encoding, content = VALID_FILES[name]
    assert identify(content[:HEAD_BYTES], content[-TAIL_BYTES:]) == {"MPO": "JPEG"}.get(encoding, encoding)


@pytest.mark.parametrize("name", NO_IMAGES)
def test_other_files_are_no_images(name: str) -> None:
    with pytest.raises(ImageError) as caught:
        open_image(NO_IMAGES[name])
    assert caught.value.kind == QuarantineKind.UNKNOWN_FORMAT


def test_noise_is_no_image() -> None:
    noise = np.random.default_rng(0)
    assert not [content for content in map(noise.bytes, [64] * 20_000) if identify(content, content)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"Meeting at noon", UNKNOWN, id="text"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "a Git LFS pointer instead of the image: run 'git lfs pull'",
            id="Git LFS",
        ),
        pytest.param(
            b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
            "an SVG drawing: convert it to PNG",
            id="SVG",
        ),
        pytest.param(b"\n<!DOCTYPE html><html>", "a web page instead of an image", id="HTML"),
        pytest.param(b"%PDF-1.7", "a PDF document: convert its pages to PNG", id="PDF"),
        pytest.param(b"\xff\x0a\xfa\x1f", "JPEG XL: convert it to PNG or JPEG", id="JPEG XL"),
        pytest.param(b"8BPS\0\1", "a Photoshop file: convert it to PNG", id="Photoshop"),
        pytest.param(b"\0\0\1\0\1\0\x20\x20", "an icon: convert it to PNG", id="icon"),
        pytest.param(b"\x89PNG\r\n\x1a\nnothing", "damaged: it begins like PNG, but its header is not valid", id="PNG"),
        pytest.param(
            b"\0\0\0\x18ftypheic" + b"noise" * 20,
            "damaged: it begins like HEIF, but its header is not valid",
            id="HEIC of noise",
        ),
    ],
)
def test_the_reason_says_what_to_do_about_a_file_that_is_no_image(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        open_image(content)
    assert str(caught.value) == reason


def test_comments_may_stand_in_the_header_of_a_portable_map() -> None:
    content = plain_map(Image.new("L", (2, 1)), 255).replace(b"P2", b"P2\n# first\n  # second\r\n", 1)
    assert open_image(content).size == (2, 1)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("HEIF", "HEIC needs pi-heif: pip install pi-heif", id="HEIC"),
        pytest.param("AVIF", "AVIF needs Pillow 11.3 or later: pip install --upgrade pillow", id="AVIF"),
    ],
)
def test_without_its_decoder_a_format_is_refused_with_the_package_that_it_needs(
    name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_image(VALID_FILES[name][1])
    monkeypatch.delitem(Image.OPEN, name)
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ImageError) as caught:
        open_image(VALID_FILES[name][1])
    assert (caught.value.kind, str(caught.value)) == (QuarantineKind.UNKNOWN_FORMAT, reason)


def test_every_known_format_has_a_valid_file() -> None:
    assert {encoding for encoding, _ in VALID_FILES.values()} - {"MPO"} == set(FORMATS)
