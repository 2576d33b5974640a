"""Small copies of images as data: addresses, which a page carries in itself."""

from base64 import b64encode
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from PIL import Image

from tasks.common.errors import ImageError
from tasks.common.threads import available_cores, ordered_map
from tasks.images.decoding import decode

SIDE = 112
QUALITY = 70


def thumbnail(file: Path, side: int = SIDE) -> str | None:
    """Return the image, upright, as a data: address of a WebP picture; None if it cannot be decoded.

    The longer side has `side` pixels. An image of less than half of that is enlarged by a whole factor instead, and its
    pixels stay sharp squares. The same file gives the same text.
    """
    if not file.is_file():  # opening a pipe would wait for its writer
        return None
    try:
        image = Image.fromarray(decode(file.read_bytes(), min_side=side).pixels)
    except (OSError, ImageError):
        return None
    factor = side // max(image.size)
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    elif max(image.size) > side:
        scale = side / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2)
    buffer = BytesIO()
    image.save(buffer, "WEBP", lossless=factor > 1, quality=QUALITY, method=4)
    return f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"


def thumbnails(root: Path, paths: Iterable[str], side: int = SIDE) -> list[str | None]:
    """Return the thumbnail of each path below `root`, in the order of the paths; made in threads."""
    workers = available_cores()
    return list(ordered_map(lambda path: thumbnail(root / path, side), paths, workers, 2 * workers))
