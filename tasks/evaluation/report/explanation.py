"""The picture of an explanation: the input of the model, pale where it did not count, with a line around the rest."""

import numpy as np
from PIL import Image
from scipy import ndimage

from tasks.evaluation.occlusion import Explanation, spread
from tasks.pages.thumbnails import Drawing, draw

# A smaller drop of the probability is not shown.
MIN_DROP = 0.01
# The line surrounds drops of this share of the largest one. What matters less is mixed with grey, at most so much.
SHARE = 0.5
GREY = 128
MAX_GREY = 0.8
LINE = 2
# Standard deviation of the blur that rounds the corners of the map, as a share of the side.
BLUR = 0.06


def draw_explanation(explanation: Explanation, side: int) -> Drawing | None:
    """Return a picture of about `side` pixels; None if no place of the patch lowers the probability noticeably."""
    if explanation.drops.max() < MIN_DROP:
        return None
    drawing = draw(explanation.pixels, side)
    pixels = np.asarray(drawing.image, np.float32)
    drops = ndimage.gaussian_filter(spread(explanation.drops, len(pixels)), BLUR * len(pixels), mode="nearest")
    weights = np.clip(drops / drops.max(), 0, 1)
    counts = weights >= SHARE
    mix = MAX_GREY * (1 - np.clip(weights / SHARE, 0, 1))[..., None]
    picture = (1 - mix) * pixels + mix * GREY
    # Dark beside light is seen on every picture.
    outer = ndimage.binary_dilation(counts, iterations=LINE) & ~counts
    inner = counts & ~ndimage.binary_erosion(counts, iterations=LINE, border_value=1)
    picture[outer], picture[inner] = 255, 0
    return Drawing(Image.fromarray(picture.round().astype(np.uint8)), enlarged=False)
