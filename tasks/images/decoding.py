"""One way to turn a file into pixels; every stage and every downstream client decodes alike."""

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from tasks.common.errors import ImageError

Pixels = npt.NDArray[np.uint8]

# Pillow warns and raises at sizes of its own choice; `decode` refuses at the size the user sets, before unpacking.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_MEGAPIXELS = 100.0


def read(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Pixels:
    """Decode the file at `path`; see `decode`. Raises ImageError, also when the file cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ImageError(message) from error
    return decode(content, max_megapixels)[0]


def decode(content: bytes, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[Pixels, str]:
    """Decode the first frame of an encoded image and apply its EXIF orientation.

    Returns RGB pixels, uint8 [H, W, 3], and the format's name. Transparent parts are laid over white, 16-bit greys are
    scaled to 8 bits. Raises ImageError with the reason: no known format, damaged, empty, or too many pixels.
    """
    if not content:
        message = "the file is empty"
        raise ImageError(message)
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_megapixels * 1e6:
                message = f"{width}x{height} pixels are more than {max_megapixels:g} megapixels"
                raise ImageError(message)
            encoding = image.format or ""
            ImageOps.exif_transpose(image, in_place=True)
            return np.asarray(_to_rgb(image)), encoding
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        message = f"not an image in a known format ({', '.join(FORMATS)})"
        raise ImageError(message) from error
    except Exception as error:  # Decoders of hostile bytes raise anything: OSError, SyntaxError, struct.error, ...
        message = f"damaged: {' '.join(str(error).split()) or type(error).__name__}"
        raise ImageError(message) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            message = f"grey values from {values.min():g} to {values.max():g} do not fit 16 bits"
            raise ImageError(message)
        # 16-bit files: `convert` would clip at 255 and leave a white picture.
        image = Image.fromarray((values / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # `convert` would copy it
