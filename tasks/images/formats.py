"""Image formats: how each is recognised by its content, and which plugin of Pillow reads it."""

import ctypes
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import PIL
from PIL import Image, ImageFile, UnidentifiedImageError

from tasks.common.errors import ImageError, QuarantineKind

# Names of Pillow's plugins, and the closed list of formats that are read. JPEG includes MPO, and PPM includes PBM, PGM
# and PFM. HEIF is read by the plugin of pi-heif, which decodes only.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA")
LISTING = "JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, HEIC, JPEG 2000, PPM, TGA"

with suppress(ImportError):  # Pillow before 11.3
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # Images are decoded in parallel already.

HEAD_BYTES = 1024  # of a file's beginning that tell its format
TAIL_BYTES = 18  # of its end: the signature of TGA

TGA_SIGNATURE = b"TRUEVISION-XFILE.\0"
PALETTE_DEPTH = 8  # bits a pixel of TGA files with a palette
TGA_DEPTHS = {
    2: (16, 24, 32),
    3: (8, 16),
    10: (16, 24, 32),
    11: (8, 16),
}  # and of those with colours and greys, by their kind
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
GENERAL_BRANDS = {b"mif1", b"msf1"}  # of both; the compatible brands tell which
BMP_HEADERS = {12, 40, 52, 56, 64, 108, 124}  # sizes in bytes

SIGNATURES: dict[str, Callable[[bytes], object]] = {
    "JPEG": re.compile(rb"\xff\xd8\xff").match,
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n").match,
    "WEBP": re.compile(rb"RIFF.{4}WEBPVP8", re.DOTALL).match,
    "BMP": lambda head: head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS,
    "GIF": re.compile(rb"GIF8[79]a").match,
    # Some writers swap the bytes of the number; the last two are BigTIFF.
    "TIFF": re.compile(rb"II\*\0|MM\0\*|II\0\*|MM\*\0|II\+\0|MM\0\+").match,
    "AVIF": lambda head: _iso_media_format(head) == "AVIF",
    "HEIF": lambda head: _iso_media_format(head) == "HEIF",
    "JPEG2000": re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n").match,
    # After the first two characters, comments may stand before the width.
    "PPM": re.compile(rb"P[1-6f]\s+(#[^\r\n]*[\r\n]\s*)*\d+\s").match,
}

# Other files that often carry the suffix of an image. The first pattern that matches is named in the reason.
IMPOSTORS = {
    rb"version https://git-lfs": "a Git LFS pointer instead of the image: run 'git lfs pull'",
    rb"(?i)\s*(<\?xml[^>]*>\s*|<!--.*?-->\s*|<!doctype svg[^>]*>\s*)*<svg": "an SVG drawing: convert it to PNG",
    rb"(?i)\s*(<!doctype html|<html|<head|<body)": "a web page instead of an image",
    rb"%PDF-": "a PDF document: convert its pages to PNG",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "JPEG XL: convert it to PNG or JPEG",
    rb"8BPS": "a Photoshop file: convert it to PNG",
    rb"\0\0[\1\2]\0[^\0]\0": "an icon: convert it to PNG",
}


def identify(head: bytes, tail: bytes) -> str | None:
    """Return the name in FORMATS of the format that a file's first and last bytes show, or None.

    `head` should be the first HEAD_BYTES of the file and `tail` its last TAIL_BYTES; longer ones do no harm. The rest
    of the file may be damaged.
    """
    for name, matches in SIGNATURES.items():
        if matches(head):
            return name
    return "TGA" if _is_tga(head, tail) else None


def open_image(content: bytes) -> ImageFile.ImageFile:
    """Read the header of an image; the pixels are not decoded yet.

    Raises:
        ImageError: the content is in no known format, or is not readable after the first bytes of one.
    """
    name = identify(content[:HEAD_BYTES], content[-TAIL_BYTES:])
    if name is None:
        raise ImageError(_describe(content[:HEAD_BYTES]), QuarantineKind.UNKNOWN_FORMAT)
    if name not in Image.OPEN:
        _load_plugin(name)
    try:
        return Image.open(BytesIO(content), formats=(name,))
    except UnidentifiedImageError as error:
        message = f"damaged: it begins like {name}, but its header is not valid"
        raise ImageError(message, QuarantineKind.DAMAGED) from error


def silence_libtiff() -> None:
    """Stop libtiff from printing the errors of damaged files to the terminal, which Pillow offers no way to do.

    It works for the wheels of Pillow for Linux, which bring the library as a file of its own.
    """
    for path in Path(PIL.__file__).parent.with_name("pillow.libs").glob("libtiff*"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(str(path)).TIFFSetErrorHandler(None)


def _load_plugin(name: str) -> None:
    Image.init()  # It imports all plugins of Pillow's own.
    if name == "HEIF":
        try:
            from pi_heif import register_heif_opener  # type: ignore[import-untyped]
        except ImportError as error:
            message = "HEIC needs pi-heif: pip install pi-heif"
            raise ImageError(message, QuarantineKind.UNKNOWN_FORMAT) from error
        register_heif_opener(decode_threads=1)
    elif name not in Image.OPEN:
        message = "AVIF needs Pillow 11.3 or later: pip install --upgrade pillow"
        raise ImageError(message, QuarantineKind.UNKNOWN_FORMAT)


def _describe(head: bytes) -> str:
    for pattern, description in IMPOSTORS.items():
        if re.match(pattern, head, re.DOTALL):
            return description
    return f"not an image in a known format ({LISTING})"


def _iso_media_format(head: bytes) -> str | None:
    """Tell AVIF and HEIF, which share a container with videos, by the brands in its first box."""
    if head[4:8] != b"ftyp":
        return None
    brand = head[8:12]
    end = min(int.from_bytes(head[:4], "big"), len(head))
    compatible = {head[start : start + 4] for start in range(16, end, 4)}
    if brand in AVIF_BRANDS or (brand in GENERAL_BRANDS and compatible & AVIF_BRANDS):
        return "AVIF"
    return "HEIF" if brand in HEIF_BRANDS | GENERAL_BRANDS else None


def _is_tga(head: bytes, tail: bytes) -> bool:
    """Tell TGA by its signature, which stands at the end of files of version 2, or by a header without contradiction.

    Files of version 1 have no signature, and Pillow takes many other files for TGA. Here all fields must fit together,
    and those for a palette must be zero where there is none, so that texts, zeros and noise do not pass.
    """
    if len(head) < TAIL_BYTES:
        return False
    if tail.endswith(TGA_SIGNATURE):
        return True
    map_type, kind, first, length, map_depth, width, height, depth, flags = struct.unpack_from("<xBBHHB4xHHBB", head)
    if not width or not height or flags & 0xC0:
        return False
    if kind in {1, 9}:
        return map_type == 1 and depth == PALETTE_DEPTH and map_depth in {16, 24, 32} and 0 < length <= 256 - first
    return not (map_type or first or length or map_depth) and depth in TGA_DEPTHS.get(kind, ())
