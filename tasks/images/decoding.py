"""Decoding of image files, the same in every stage and in every client of the exported model."""

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from tasks.common.errors import ImageError, QuarantineKind

Pixels = npt.NDArray[np.uint8]

# Pillow's own limit on pixels is switched off: `decode` refuses images above the user's limit, before it decodes them.
Image.MAX_IMAGE_PIXELS = None

# Pillow warns of damaged metadata, for example "Corrupt EXIF data", although the pixels are fine and without naming the
# image, so the warnings would only interrupt the progress lines. The filter is set once for the whole process, because
# `warnings.catch_warnings` around each image is not safe while other threads decode.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_MEGAPIXELS = 100.0


def read(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Pixels:
    """Return the pixels of the file at `path` as `decode` does; a file that cannot be read raises ImageError too."""
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ImageError(message, QuarantineKind.UNREADABLE) from error
    return decode(content, max_megapixels)[0]


def decode(content: bytes, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[Pixels, str]:
    """Decode the first frame of an encoded image and apply its EXIF orientation.

    Transparent parts are blended with white, and 16-bit greys are scaled to 8 bits.

    Returns:
        RGB pixels, uint8 [H, W, 3], and the name of the format.

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
            ImageOps.exif_transpose(image, in_place=True)
            return np.asarray(_to_rgb(image)), encoding
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        message = f"not an image in a known format ({', '.join(FORMATS)})"
        raise ImageError(message, QuarantineKind.UNKNOWN_FORMAT) from error
    except Exception as error:  # For damaged bytes, decoders raise any type: OSError, SyntaxError, struct.error, ...
        message = f"damaged: {' '.join(str(error).split()) or type(error).__name__}"
        raise ImageError(message, QuarantineKind.DAMAGED) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            message = f"grey values from {values.min():g} to {values.max():g} do not fit 16 bits"
            raise ImageError(message, QuarantineKind.UNKNOWN_FORMAT)
        # `convert` would clip 16-bit values at 255, which leaves an almost white image.
        image = Image.fromarray((values / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # `convert` would copy an RGB image
