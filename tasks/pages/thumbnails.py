"""Small copies of images as data: addresses, which a page carries in itself."""

from base64 import b64encode
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from tasks.common.errors import ImageError
from tasks.common.threads import available_cores, ordered_map
from tasks.images.decoding import Pixels, decode

SIDE = 112
QUALITY = 70


class Drawing(NamedTuple):
    """A small copy of an image; the pixels of an `enlarged` one are sharp squares."""

    image: Image.Image
    enlarged: bool


def draw(pixels: Pixels, side: int) -> Drawing:
    """Return a copy of an image, uint8 [H, W, 3], whose longer side has `side` pixels.

    An image of less than half of that is enlarged by a whole factor instead.
    """
    image = Image.fromarray(pixels)
    factor = side // max(image.size)
    if factor > 1:
        size = image.width * factor, image.height * factor
        return Drawing(image.resize(size, Image.Resampling.NEAREST), enlarged=True)
    if max(image.size) > side:
        scale = side / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2)
    return Drawing(image, enlarged=False)


def draw_file(file: Path, side: int) -> Drawing | None:
    """Return a copy of the image in a file, upright, as `draw` does; None if it cannot be decoded."""
    if not file.is_file():  # opening a pipe would wait for its writer
        return None
    try:
        return draw(decode(file.read_bytes(), min_side=side).pixels, side)
    except (OSError, ImageError):
        return None


def to_address(drawing: Drawing) -> str:
    """Return the drawing as a data: address of a WebP picture; the same drawing gives the same text."""
    buffer = BytesIO()
    drawing.image.save(buffer, "WEBP", lossless=drawing.enlarged, quality=QUALITY, method=4)
    return f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"


def thumbnail(file: Path, side: int = SIDE) -> str | None:
    """Return the image of a file, drawn as `draw_file` does, as a data: address; None if it cannot be decoded."""
    drawing = draw_file(file, side)
    return None if drawing is None else to_address(drawing)


def thumbnails(root: Path, paths: Iterable[str], side: int = SIDE) -> list[str | None]:
    """Return the thumbnail of each path below `root`, in the order of the paths; made in threads."""
    workers = available_cores()
    return list(ordered_map(lambda path: thumbnail(root / path, side), paths, workers, 2 * workers))
