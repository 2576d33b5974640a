"""Decoding of image files, the same in every stage and in every client of the exported model."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from tasks.common.errors import ImageError, QuarantineKind

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

# Raised with every change of the pixels that a file decodes to: vectors of the old pixels are then no longer found in
# the feature store.
VERSION = 1

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_MEGAPIXELS = 100.0

# Full ranges of 8, 10, 12, 14 and 16 bits, the depths of cameras and scanners. docs/decoding.md gives the reasons.
FULL_RANGES = (255, 1023, 4095, 16383, 65535)

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


def decode(content: bytes, max_megapixels: float = MAX_MEGAPIXELS) -> Decoded:
    """Decode the first frame of an encoded image and apply its EXIF orientation.

    Transparent parts are blended with white, and greys of more than 8 bits are scaled to 8 bits. docs/decoding.md
    states the rules, which every client of the exported model must follow.

    Raises:
        ImageError: the content is empty, in no known format, damaged, or has too many pixels.
    """
    if not content:
        message = "the file is empty"
        raise ImageError(message, QuarantineKind.EMPTY)
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_megapixels * 1e6:
                message = f"{width}x{height} pixels are more than {max_megapixels:g} megapixels"
                raise ImageError(message, QuarantineKind.TOO_LARGE)
            encoding = image.format or ""
            mode = image.mode
            pixels = np.asarray(_to_rgb(_turn_upright(image), encoding))
            return Decoded(pixels, encoding, mode, pixels.shape[1], pixels.shape[0])
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        message = f"not an image in a known format ({', '.join(FORMATS)})"
        raise ImageError(message, QuarantineKind.UNKNOWN_FORMAT) from error
    except Exception as error:  # For damaged bytes, decoders raise any type: OSError, SyntaxError, struct.error, ...
        message = f"damaged: {' '.join(str(error).split()) or type(error).__name__}"
        raise ImageError(message, QuarantineKind.DAMAGED) from error


def _turn_upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation without rewriting EXIF data, where `ImageOps.exif_transpose` fails for bad values."""
    if not isinstance(image.info.get("xmp"), bytes):
        image.info.pop("xmp", None)  # Pillow fails to search other types for an orientation
    image.load()  # It reads EXIF data after the pixels of a PNG file, and already turns a TIFF file upright.
    try:
        transposition = TRANSPOSITIONS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  For damaged EXIF data, Pillow raises any type, and the pixels are good all the same
        transposition = None
    if transposition is None:
        return image
    upright = image.transpose(transposition)
    image.close()  # frees the pixels as stored, 192 MB of a photo of 48 megapixels
    return upright


def _to_rgb(image: Image.Image, encoding: str) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _to_eight_bits(image, encoding)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # `convert` would copy an RGB image


def _to_eight_bits(image: Image.Image, encoding: str) -> Image.Image:
    """Scale greys by their full range; `convert` would clip them at 255, which leaves an almost white image."""
    values = np.asarray(image, dtype=np.float64)
    lowest, highest = values.min(), values.max()
    if not 0 <= lowest <= highest <= FULL_RANGES[-1]:  # comparisons with NaN are false, so NaN is refused too
        message = f"grey values from {lowest:g} to {highest:g} do not fit 16 bits"
        raise ImageError(message, QuarantineKind.UNKNOWN_FORMAT)
    full_range = FULL_RANGES[-1]
    if encoding == "TIFF":  # the only format that leaves the range of its greys open
        ranges = (1, *FULL_RANGES) if image.mode == "F" else FULL_RANGES
        full_range = next(candidate for candidate in ranges if highest <= candidate)
    return Image.fromarray((values / (full_range / 255)).round().astype(np.uint8))
