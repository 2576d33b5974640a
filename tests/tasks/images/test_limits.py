"""Files that promise, or ask for, far more than they hold."""

import struct
import subprocess
import sys
import time
import zlib
from io import BytesIO

import pytest
from PIL import Image

from tasks.common.errors import ImageError, QuarantineKind
from tasks.images.decoding import decode
from tests.conftest import ROOT
from tests.tasks.images.valid_files import GREY, PICTURE, VALID_FILES, animation, encode

SIZE, LARGE = struct.pack("<HH", 64, 48), struct.pack("<HH", 60000, 60000)
TOO_LARGE = "60000x60000 pixels are more than 100 megapixels"


def patched(name: str, old: bytes, new: bytes) -> bytes:
    """Return a valid file with the first `old` replaced."""
    content = VALID_FILES[name][1]
    assert old in content
    return content.replace(old, new, 1)


def tiff(tags: dict[int, int], data: bytes) -> bytes:
    """Return a grey TIFF file with these tags more; those that stand for offsets (0) point at `data`, at the end."""
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1} | tags
    offset = 8 + 2 + 12 * len(tags) + 4
    entries = [struct.pack("<HHII", tag, 4, 1, value or offset) for tag, value in sorted(tags.items())]
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + data


def large_png() -> bytes:
    """Return the header of a PNG file of 60000x60000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4) + VALID_FILES["PNG"][1][33:]


def codestream(**fields: int) -> bytes:
    """Return a JPEG 2000 file with other values of `width`, `height`, `tile_width`, `tile_height` or `channels`."""
    content = bytearray(VALID_FILES["JPEG2000 codestream"][1])
    offsets = {"width": 8, "height": 12, "tile_width": 24, "tile_height": 28}
    for name, value in fields.items():
        struct.pack_into(">I", content, offsets[name], value)
    return bytes(content)


def progressive(scans: int) -> bytes:
    """Return a grey JPEG of a megapixel whose last scan is repeated."""
    content = encode(Image.new("L", (1024, 1024)), "JPEG", progressive=True)
    start = content.rindex(b"\xff\xc4", 0, content.rindex(b"\xff\xda"))
    return content[:-2] + content[start:-2] * (scans - content.count(b"\xff\xda")) + b"\xff\xd9"


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        pytest.param(patched("JPEG", b"\0\x30\0\x40", b"\xea\x60\xea\x60"), "too_large", TOO_LARGE, id="JPEG"),
        pytest.param(large_png(), "too_large", TOO_LARGE, id="PNG"),
        pytest.param(
            patched("WEBP", b"\x40\0\x30\0", b"\xff\x3f\xff\x3f"),
            "too_large",
            "16383x16383 pixels are more than 100 megapixels",
            id="WebP",
        ),
        pytest.param(
            patched("WEBP animated", b"\x3f\0\0\x2f\0\0", b"\x5f\xea\0\x5f\xea\0"),
            "too_large",
            TOO_LARGE,
            id="WebP, animated",
        ),
        pytest.param(
            patched("BMP", struct.pack("<II", 64, 48), struct.pack("<II", 60000, 60000)),
            "too_large",
            TOO_LARGE,
            id="BMP",
        ),
        pytest.param(
            patched("GIF", SIZE, LARGE),
            "too_large",
            TOO_LARGE,
            id="GIF",
        ),
        pytest.param(
            patched("GIF", bytes(4) + SIZE, bytes(4) + LARGE),
            "too_large",
            TOO_LARGE,
            id="GIF, whose frame alone is large",
        ),
        pytest.param(
            tiff({256: 60000, 257: 60000, 273: 0, 278: 8, 279: 64}, bytes(64)), "too_large", TOO_LARGE, id="TIFF"
        ),
        pytest.param(
            tiff({259: 8, 322: 40000, 323: 40000, 324: 0, 325: 99}, zlib.compress(bytes(10**6))),
            "too_large",
            "tiles of 40000x40000 pixels are more than 100 megapixels",
            id="TIFF, whose tile alone is large",
        ),
        pytest.param(
            patched("AVIF", b"ispe\0\0\0\0\0\0\0\x40\0\0\0\x30", b"ispe\0\0\0\0\0\0\x3a\x98\0\0\x3a\x98"),
            "too_large",
            "15000x15000 pixels are more than 100 megapixels",
            id="AVIF",
        ),
        pytest.param(
            patched("HEIF", b"ispe\0\0\0\0\0\0\0\x40\0\0\0\x40", b"ispe\0\0\0\0\0\0\xea\x60\0\0\xea\x60"),
            "damaged",
            None,
            id="HEIC",
        ),
        pytest.param(
            patched("JPEG2000", b"ihdr\0\0\0\x30\0\0\0\x40", b"ihdr\0\0\xea\x60\0\0\xea\x60"),
            "too_large",
            TOO_LARGE,
            id="JPEG 2000",
        ),
        pytest.param(codestream(width=60000, height=60000), "too_large", TOO_LARGE, id="JPEG 2000 codestream"),
        pytest.param(
            patched("JPEG2000", b"ihdr\0\0\0\x30\0\0\0\x40", b"ihdr\0\0\0\x08\0\0\0\x08"),
            "damaged",
            "damaged: broken data stream when reading image file",
            id="JPEG 2000, smaller in the header than in the codestream",
        ),
        pytest.param(
            codestream(tile_width=1, tile_height=1, width=255, height=257),
            "too_large",
            "65535 tiles are more than 10000",
            id="JPEG 2000 of many tiles",
        ),
        pytest.param(
            codestream(tile_width=0), "damaged", "damaged: its tiles have no size", id="JPEG 2000 of tiles without size"
        ),
        pytest.param(patched("PPM", b"64 48", b"60000 60000"), "too_large", TOO_LARGE, id="PPM"),
        pytest.param(
            patched("PPM", b"64 48", b"0 48"),
            "damaged",
            "damaged: it begins like PPM, but its header is not valid",
            id="PPM of no pixels",
        ),
        pytest.param(
            patched("PPM 10 bits", b"64 48", b"64 49"),
            "damaged",
            "damaged: buffer is smaller than requested size",
            id="PPM that ends too early",
        ),
        pytest.param(
            patched("TGA", SIZE, LARGE),
            "too_large",
            TOO_LARGE,
            id="TGA",
        ),
        pytest.param(
            progressive(10_000), "too_large", "10000 progressive scans are more than 100", id="JPEG of many scans"
        ),
    ],
)
def test_a_file_that_asks_for_too_much_is_refused_before_it_is_decoded(
    content: bytes, kind: str, reason: str | None
) -> None:
    start = time.process_time()
    for min_side in (None, 224):
        with pytest.raises(ImageError) as caught:
            decode(content, min_side=min_side)
        assert caught.value.kind == QuarantineKind(kind)
        assert reason in {None, str(caught.value)}
    assert time.process_time() - start < 1  # decoding some of them takes many seconds


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(tiff({254: 1, 273: 0, 278: 8, 279: 64}, bytes(64)), id="preview on the first page: NEF, ARW"),
        pytest.param(tiff({273: 0, 278: 8, 279: 64, 50706: 0x01040000}, bytes(64)), id="DNG"),
        pytest.param(b"II*\0\x10\0\0\0CR\2\0" + bytes(4) + tiff({273: 0}, bytes(64))[8:], id="CR2"),
    ],
)
def test_a_camera_raw_file_is_refused_instead_of_using_its_preview(content: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        decode(content)
    assert caught.value.kind == QuarantineKind.UNKNOWN_FORMAT
    assert str(caught.value) == "a camera raw file, of which only a preview could be read: convert it to JPEG or PNG"


def many_pages() -> bytes:
    """Return a TIFF file whose last page claims 60000x60000 pixels."""
    content = bytearray(animation("TIFF"))
    last = content.rindex(struct.pack("<HHII", 256, 4, 1, 64))
    for entry in (last, last + 12):
        struct.pack_into("<HII", content, entry + 2, 4, 1, 60000)
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(many_pages(), id="TIFF with a huge last page"),
        pytest.param(
            encode(GREY, "GIF", save_all=True, append_images=[GREY.rotate(180), GREY] * 250), id="GIF of 501 frames"
        ),
        pytest.param(encode(PICTURE, "JPEG", comment=b"\xff\xda" * 200), id="JPEG with marks of scans in its comment"),
    ],
)
def test_later_pages_and_metadata_do_not_refuse_the_first_image(content: bytes) -> None:
    image = decode(content)
    assert (image.width, image.height) == (64, 48)


def test_decoders_of_damaged_files_print_nothing() -> None:
    fax = bytearray(VALID_FILES["TIFF fax"][1])
    fax[20:60] = bytes(40)
    jpeg = VALID_FILES["TIFF JPEG"][1].replace(b"\xff\xda", b"\xff\xdb")
    code = (
        "from tasks.images.decoding import decode; from tasks.common.errors import ImageError\n"
        f"for content in ({bytes(fax)!r}, {jpeg!r}):\n"
        "    try: decode(content)\n"
        "    except ImageError as error: print(error.kind)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "damaged"


def test_a_photo_of_48_megapixels_takes_little_memory_at_a_reduced_scale() -> None:
    file = BytesIO()
    Image.new("RGB", (8000, 6000), "teal").save(file, "JPEG")
    code = (
        "import sys; from tasks.images.decoding import decode\n"
        "image = decode(sys.stdin.buffer.read(), min_side=448)\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(image.pixels.shape, image.width, image.height, int(peak.split()[1]) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input=file.getvalue(), capture_output=True, check=True
    )
    shape, megabytes = done.stdout.decode().rsplit(" ", 1)
    assert shape == "(750, 1000, 3) 8000 6000"
    assert int(megabytes) < 150
