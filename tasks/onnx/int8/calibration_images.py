"""Pictures of many kinds, always the same: what values they cause in a base tells the ranges that int8 has to cover.

Not the user's images: with those, each image that is added to a dataset would change every vector.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import RandomState  # unlike those of numpy's Generator, its streams are frozen
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from PIL.Image import Resampling

from tasks.images.decoding import Pixels

PHOTOGRAPHS, EDGES, STROKES, GROUNDS = 24, 8, 12, 4
Colour = tuple[int, ...]


def calibration_images(size: int) -> Pixels:
    """Return the pictures, uint8 RGB [48, size, size, 3].

    Photographs are crops of scikit-learn's two, of any scale, half of them plain and half inverted, grey, faint, noisy
    or blurred; edges are line drawings of such crops; strokes are a few lines, thin or thick, light on dark, dark on
    light or coloured; grounds are plain, striped or grainy.
    """
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    random = RandomState(0)
    made = [_changed(_crop(photographs, size, random), random) for _ in range(PHOTOGRAPHS)]
    made += [_edges(_crop(photographs, size, random), random) for _ in range(EDGES)]
    made += [_strokes(size, random) for _ in range(STROKES)]
    made += [_ground(size, random) for _ in range(GROUNDS)]
    return np.stack([np.asarray(picture) for picture in made])


def _crop(photographs: list[Image.Image], size: int, random: RandomState) -> Image.Image:
    whole = photographs[random.randint(len(photographs))]
    side = int(min(whole.size) * random.uniform(0.1, 1))
    left, top = (random.randint(length - side + 1) for length in whole.size)
    crop = whole.resize((size, size), Resampling.BILINEAR, (left, top, left + side, top + side))
    return ImageOps.mirror(crop) if random.randint(2) else crop


def _changed(picture: Image.Image, random: RandomState) -> Image.Image:
    changes: list[Callable[[Image.Image], Image.Image]] = [
        ImageOps.autocontrast,
        ImageOps.invert,
        lambda one: ImageOps.grayscale(one).convert("RGB"),
        lambda one: Image.blend(Image.new("RGB", one.size, _colour(random)), one, 0.3),
        lambda one: _grainy(one, random),
        lambda one: one.filter(ImageFilter.GaussianBlur(one.width / 64)),
    ]
    return changes[random.randint(len(changes))](picture) if random.randint(2) else picture


def _edges(picture: Image.Image, random: RandomState) -> Image.Image:
    strong = ImageOps.autocontrast(picture.convert("L").filter(ImageFilter.FIND_EDGES))
    drawing = strong.point([0] * 80 + [255] * 176).convert("RGB")
    return ImageOps.invert(drawing) if random.randint(2) else drawing


def _strokes(size: int, random: RandomState) -> Image.Image:
    ground, ink = [((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (0, 0, 0)), (_colour(random), _colour(random))][
        random.randint(3)
    ]
    # Enlarged from few pixels, they are as soft as the digits; drawn at full size they are sharp.
    side = [max(8, size // 8), size][random.randint(2)]
    picture = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(picture)
    for _ in range(random.randint(1, 4)):
        corners = [tuple(corner) for corner in random.uniform(0.1, 0.9, (random.randint(2, 5), 2)) * side]
        width = max(1, int(side * random.uniform(0.02, 0.15)))
        if random.randint(2):
            pen.line(corners, ink, width, "curve")
        else:
            pen.ellipse([*np.minimum(*corners[:2]), *np.maximum(*corners[:2])], None, ink, width)
    return picture.resize((size, size), Resampling.BILINEAR)


def _ground(size: int, random: RandomState) -> Image.Image:
    plain = Image.new("RGB", (size, size), _colour(random))
    period = size / random.uniform(2, 24)
    stripes = Image.fromarray(np.uint8(np.indices((size, size)).sum(0) // period % 2 * 255))
    striped = Image.composite(plain, Image.new("RGB", plain.size, _colour(random)), stripes)
    return [plain, striped, _grainy(plain, random)][random.randint(3)]


def _grainy(picture: Image.Image, random: RandomState) -> Image.Image:
    noise = random.normal(0, 25, (*picture.size, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def _colour(random: RandomState) -> Colour:
    return tuple(random.randint(0, 256, 3).tolist())
