"""Decoding of image files, the same in every stage and in every client of the exported model."""

import logging
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin

from tasks.common.errors import ImageError, QuarantineKind
from tasks.images.bit_depth import scale_portable_map, to_eight_bits
from tasks.images.formats import open_image, silence_libtiff
from tasks.images.limits import check_header, check_size

Pixels = npt.NDArray[np.uint8]

# Pillow's own limit on pixels is switched off: `decode` refuses images above the user's limit, before it decodes them.
Image.MAX_IMAGE_PIXELS = None

# Pillow refuses a PNG file with more than 1 MB of compressed metadata (a colour profile, XMP), although only its pixels
# are needed. The limit is raised, not lifted, because metadata of a few kilobytes can expand to gigabytes.
MAX_METADATA_BYTES = 64 * 2**20
PngImagePlugin.MAX_TEXT_CHUNK = MAX_METADATA_BYTES
PngImagePlugin.MAX_TEXT_MEMORY = MAX_METADATA_BYTES

# Pillow warns of damaged metadata, for example "Corrupt EXIF data", although the pixels are fine and without naming the
# image, so the warnings would only interrupt the progress lines. The filter is set once for the whole process, because
# `warnings.catch_warnings` around each image is not safe while other threads decode.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# Pillow logs errors of damaged files too, and without a logger of the application they would reach the terminal.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
silence_libtiff()

# Raised with every change of the pixels that a file decodes to, exactly or at a reduced scale: what the feature store
# keeps of the old pixels is then no longer found.
VERSION = 1
SCALED_VERSION = 1

MAX_MEGAPIXELS = 100.0

# The EXIF orientation says how to turn stored pixels upright; 1 leaves them as they are.
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPS_SIDES = {TRANSPOSITIONS[orientation] for orientation in (5, 6, 7, 8)}


def read(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Pixels:
    """Return the pixels of the file at `path` as `decode` does; a file that cannot be read raises ImageError too."""
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ImageError(message, QuarantineKind.UNREADABLE) from error
    return decode(content, max_megapixels)[0]


class Decoded(NamedTuple):
    """A decoded image: RGB pixels, uint8 [H, W, 3], the name of its format, and its mode in Pillow's words.

    `width` and `height` are those of the whole image, upright; they are larger than those of `pixels` if these were
    decoded at a reduced scale.
    """

    pixels: Pixels
    format: str
    mode: str
    width: int
    height: int


def version(min_side: int | None = None) -> str:
    """Return a text that changes with the pixels that `decode` returns for this `min_side`, as a part of cache keys."""
    return f"{VERSION}" if min_side is None else f"{VERSION}, scaled {SCALED_VERSION}, {min_side}"


def decode(content: bytes, max_megapixels: float = MAX_MEGAPIXELS, min_side: int | None = None) -> Decoded:
    """Decode the first frame of an encoded image and apply its EXIF orientation.

    Transparent parts are blended with white, and greys of more than 8 bits are scaled to 8 bits. docs/decoding.md
    states the rules, which every client of the exported model must follow.

    With `min_side`, a JPEG is decoded at the smallest of the scales 1/8, 1/4, 1/2 and 1 at which both sides still have
    at least that many pixels. This is several times faster for photos, and the pixels differ slightly from those that
    exact decoding and resizing give; other formats are decoded as without it.

    Raises:
        ImageError: the content is empty, in no known format, damaged, or has too many pixels.
    """
    if not content:
        message = "the file is empty"
        raise ImageError(message, QuarantineKind.EMPTY)
    try:
        with open_image(content) as image:
            check_header(image, content, max_megapixels)
            encoding = image.format or ""
            mode = image.mode
            size = image.size
            if min_side is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
                image.draft(None, (min_side, min_side))
            is_scaled = image.size != size
            stored = scale_portable_map(image, content)
            transposition = _load(stored)
            upright = stored if transposition is None else stored.transpose(transposition)
            if upright is not stored:
                stored.close()  # frees the pixels as stored, 192 MB of a photo of 48 megapixels
            check_size(*upright.size, max_megapixels)  # The data of some formats may differ from the header.
            if not is_scaled:
                size = upright.size
            elif transposition in SWAPS_SIDES:
                size = size[::-1]
            return Decoded(np.asarray(_to_rgb(upright, encoding)), encoding, mode, *size)
    except ImageError:
        raise
    except Exception as error:  # For damaged bytes, decoders raise any type: OSError, SyntaxError, struct.error, ...
        message = f"damaged: {' '.join(str(error).split()) or type(error).__name__}"
        raise ImageError(message, QuarantineKind.DAMAGED) from error


def _load(image: Image.Image) -> Image.Transpose | None:
    """Decode the pixels as they are stored, and return the transposition that turns them upright.

    EXIF data are not rewritten, as `ImageOps.exif_transpose` does, which fails for bad values.
    """
    if not isinstance(image.info.get("xmp"), bytes):
        image.info.pop("xmp", None)  # Pillow fails to search other types for an orientation
    image.load()  # It reads EXIF data after the pixels of a PNG file, and already turns a TIFF file upright.
    try:
        return TRANSPOSITIONS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  For damaged EXIF data, Pillow raises any type, and the pixels are good all the same
        return None


def _to_rgb(image: Image.Image, encoding: str) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = to_eight_bits(image, encoding)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # `convert` would copy an RGB image
