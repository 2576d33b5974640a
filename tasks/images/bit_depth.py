"""Images with more or less than 8 bits a channel, brought to 8 bits."""

import math

import numpy as np
from PIL import Image

from tasks.common.errors import ImageError, QuarantineKind

# Full ranges of 8, 10, 12, 14 and 16 bits, the depths of cameras and scanners. docs/decoding.md gives the reasons.
FULL_RANGES = (255, 1023, 4095, 16383, 65535)
BLOCK = 2**20  # samples that are computed at once, because floats of all would take 8 times the image's memory


def to_eight_bits(image: Image.Image, encoding: str) -> Image.Image:
    """Scale greys of mode I, I;16 or F by their full range, to mode L.

    Pillow's `convert` would clip them at 255, which leaves an almost white image. `encoding` is the name of the format:
    TIFF and files of floats leave the range open.

    Raises:
        ImageError: a grey is negative, above 65535 or not a number.
    """
    values = np.asarray(image)
    lowest, highest = values.min().item(), values.max().item()
    if not 0 <= lowest <= highest <= FULL_RANGES[-1]:  # comparisons with NaN are false, so NaN is refused too
        message = f"grey values from {lowest:g} to {highest:g} do not fit 16 bits"
        raise ImageError(message, QuarantineKind.UNKNOWN_FORMAT)
    full_range = FULL_RANGES[-1]
    if encoding == "TIFF" or image.mode == "F":
        ranges = (1, *FULL_RANGES) if image.mode == "F" else FULL_RANGES
        full_range = next(candidate for candidate in ranges if highest <= candidate)
    greys = np.empty(values.shape, np.uint8)
    for start in range(0, values.size, BLOCK):
        block = slice(start, start + BLOCK)
        greys.reshape(-1)[block] = (values.reshape(-1)[block].astype(np.float64) / (full_range / 255)).round()
    return Image.fromarray(greys)


def scale_portable_map(image: Image.Image, content: bytes) -> Image.Image:
    """Return a PPM or PGM image, open but not decoded, with its samples scaled; other images are returned as they are.

    Files whose header gives another maximum than 255 are decoded to the same pixels as by Pillow, whose loop over all
    samples takes half a minute for a photo of 12 megapixels.

    Raises:
        ValueError: the file ends before its last sample.
    """
    tile = next(iter(getattr(image, "tile", [])), None)
    if image.format != "PPM" or tile is None or tile[0] != "ppm":
        return image
    _, _, offset, (_, maximum) = tile
    bits = 8 if maximum < 2**8 else 16
    shape = (image.height, image.width, 3) if image.mode == "RGB" else (image.height, image.width)
    samples = np.frombuffer(content, f">u{bits // 8}", math.prod(shape), offset).reshape(shape)
    full_range, dtype = (65535, np.uint16) if image.mode == "I" else (255, np.uint8)
    scaled = np.minimum(np.rint(np.arange(2**bits) / maximum * full_range), full_range).astype(dtype)
    return Image.fromarray(scaled[samples])
