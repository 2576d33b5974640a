"""Limits on the work that the header of an image may ask for: small files can take minutes and gigabytes to decode."""

import re
import struct

from PIL import Image, TiffImagePlugin

from tasks.common.errors import ImageError, QuarantineKind

# libjpeg goes through all pixels for every scan, of which encoders write about 10. A file is refused if it exceeds both
# limits: files of many pictures have many scans, and few scans of a huge picture come to many megapixels.
MAX_SCANS = 100
MAX_SCANNED_MEGAPIXELS = 10_000
# OpenJPEG sets aside about 12 KB for each tile before it decodes the first.
MAX_JPEG2000_TILES = 10_000
# Tags of TIFF: bit 0 of the first says that a page is a smaller copy of another.
NEW_SUBFILE_TYPE = 254
DNG_VERSION = 50706


def check_size(width: int, height: int, max_megapixels: float) -> None:
    """Raise ImageError if an image of this size has too many pixels."""
    if width * height > max_megapixels * 1e6:
        message = f"{width}x{height} pixels are more than {max_megapixels:g} megapixels"
        raise ImageError(message, QuarantineKind.TOO_LARGE)


def check_header(image: Image.Image, content: bytes, max_megapixels: float) -> None:
    """Raise ImageError if decoding this image, open but not decoded yet, would take far more than its size suggests.

    A raw file of a camera raises it too.
    """
    check_size(*image.size, max_megapixels)
    if image.format in {"JPEG", "MPO"}:
        _check_scans(content, image.width * image.height)
    elif image.format == "JPEG2000":
        _check_jpeg2000(content)
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_camera_raw(image, content)
        _check_tiff_tiles(image, max_megapixels)


def _check_scans(content: bytes, pixels: int) -> None:
    scans = content.count(b"\xff\xda")  # In compressed data, 0xff is never followed by this byte.
    if scans > MAX_SCANS and scans * pixels > MAX_SCANNED_MEGAPIXELS * 1e6:
        message = f"{scans} progressive scans are more than {MAX_SCANS}"
        raise ImageError(message, QuarantineKind.TOO_LARGE)


def _check_jpeg2000(content: bytes) -> None:
    # A file may hold several codestreams, and OpenJPEG and Pillow may disagree which counts.
    for start in re.finditer(rb"\xff\x4f\xff\x51", content):
        fields = struct.unpack_from(">4xIIIIIIIIH", content, start.end())
        right, bottom, _, _, tile_width, tile_height, tile_left, tile_top, components = fields
        if not tile_width or not tile_height or right <= tile_left or bottom <= tile_top:
            message = "damaged: its tiles have no size"
            raise ImageError(message, QuarantineKind.DAMAGED)
        tiles = -((tile_left - right) // tile_width) * -((tile_top - bottom) // tile_height)
        if tiles > MAX_JPEG2000_TILES:
            message = f"{tiles} tiles are more than {MAX_JPEG2000_TILES}"
            raise ImageError(message, QuarantineKind.TOO_LARGE)
        if components > len("RGBA"):
            message = f"{components} channels are more than 4"
            raise ImageError(message, QuarantineKind.UNKNOWN_FORMAT)


def _check_camera_raw(image: TiffImagePlugin.TiffImageFile, content: bytes) -> None:
    """Refuse raw files of cameras, which are TIFF files whose first page is only a small preview."""
    page = image.tag_v2.get(NEW_SUBFILE_TYPE, 0)
    is_preview = isinstance(page, int) and page & 1
    if is_preview or DNG_VERSION in image.tag_v2 or content[8:10] == b"CR":
        message = "a camera raw file, of which only a preview could be read: convert it to JPEG or PNG"
        raise ImageError(message, QuarantineKind.UNKNOWN_FORMAT)


def _check_tiff_tiles(image: TiffImagePlugin.TiffImageFile, max_megapixels: float) -> None:
    """Check the size of tiles, because libtiff decodes a tile whole, however small the image is."""
    width, height = (image.tag_v2.get(tag, 1) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    if isinstance(width, int) and isinstance(height, int) and width * height > max_megapixels * 1e6:
        message = f"tiles of {width}x{height} pixels are more than {max_megapixels:g} megapixels"
        raise ImageError(message, QuarantineKind.TOO_LARGE)
