"""The memory of decoded images: bounded, however large they are, and used again for the next image."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from tasks.common.threads import available_cores
from tasks.images.formats import open_image

# Pillow keeps no memory of its images by default, and the system takes as long to clear new memory as a photograph of
# 12 megapixels takes to decode. Four blocks of 16 MB are such a photograph in Pillow's format; the rest serves smaller
# ones. The option is that of the environment variable PILLOW_BLOCKS_MAX.
Image.core.set_blocks_max(min(4 * available_cores(), 32))  # type: ignore[attr-defined]


class PixelBudget:
    """Lets threads hold decoded images of `pixels` pixels together; a larger image waits until it is the only one."""

    def __init__(self, pixels: int) -> None:
        """Take the number of pixels, each of which takes about ten bytes while an image is decoded and resized."""
        self._pixels, self._used = pixels, 0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Hold an image of so many pixels, after waiting for room."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._pixels)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


def decoded_pixels(content: bytes, min_side: int | None) -> int:
    """Return how many pixels `decode` makes of an encoded image, by its header; 0 if that cannot be read."""
    try:
        with open_image(content) as image:
            if min_side is not None:
                image.draft(None, (min_side, min_side))  # does nothing to other formats than JPEG
            return image.width * image.height
    except Exception:  # noqa: BLE001  Decoders raise any type for damaged bytes, and `decode` then gives the reason.
        return 0
