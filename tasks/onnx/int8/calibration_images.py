"""Calibration images: a fixed set of many kinds, whose activations show the ranges that int8 has to cover.

The user's images are not used: each image added to a dataset would then change every vector.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import RandomState  # its streams are frozen, unlike those of numpy's Generator
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from PIL.Image import Resampling

from tasks.images.decoding import Pixels

PHOTOGRAPHS, EDGES, STROKES, BACKGROUNDS = 24, 8, 12, 4
Colour = tuple[int, ...]


def calibration_images(size: int) -> Pixels:
    """Return the calibration images, uint8 RGB [48, size, size, 3].

    Photographs are crops of scikit-learn's two sample images at any scale; half of them are inverted, grey, faint,
    noisy, blurred or stretched in contrast. Edges are line drawings of such crops. Strokes are a few thin or thick
    lines: light on dark, dark on light, or coloured. Backgrounds are plain, striped or noisy.
    """
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    random = RandomState(0)
    images = [_vary(_crop(photographs, size, random), random) for _ in range(PHOTOGRAPHS)]
    images += [_edges(_crop(photographs, size, random), random) for _ in range(EDGES)]
    images += [_strokes(size, random) for _ in range(STROKES)]
    images += [_background(size, random) for _ in range(BACKGROUNDS)]
    return np.stack([np.asarray(image) for image in images])


def _crop(photographs: list[Image.Image], size: int, random: RandomState) -> Image.Image:
    photograph = photographs[random.randint(len(photographs))]
    side = int(min(photograph.size) * random.uniform(0.1, 1))
    left, top = (random.randint(length - side + 1) for length in photograph.size)
    crop = photograph.resize((size, size), Resampling.BILINEAR, (left, top, left + side, top + side))
    return ImageOps.mirror(crop) if random.randint(2) else crop


def _vary(image: Image.Image, random: RandomState) -> Image.Image:
    variations: list[Callable[[Image.Image], Image.Image]] = [
        ImageOps.autocontrast,
        ImageOps.invert,
        lambda source: ImageOps.grayscale(source).convert("RGB"),
        lambda source: Image.blend(Image.new("RGB", source.size, _colour(random)), source, 0.3),
        lambda source: _add_noise(source, random),
        lambda source: source.filter(ImageFilter.GaussianBlur(source.width / 64)),
    ]
    return variations[random.randint(len(variations))](image) if random.randint(2) else image


def _edges(image: Image.Image, random: RandomState) -> Image.Image:
    edges = ImageOps.autocontrast(image.convert("L").filter(ImageFilter.FIND_EDGES))
    drawing = edges.point([0] * 80 + [255] * 176).convert("RGB")
    return ImageOps.invert(drawing) if random.randint(2) else drawing


def _strokes(size: int, random: RandomState) -> Image.Image:
    colours = [((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (0, 0, 0)), (_colour(random), _colour(random))]
    background, ink = colours[random.randint(3)]
    # Drawn small and enlarged, strokes are as soft as the digits; drawn at full size, they are sharp.
    side = [max(8, size // 8), size][random.randint(2)]
    image = Image.new("RGB", (side, side), background)
    pen = ImageDraw.Draw(image)
    for _ in range(random.randint(1, 4)):
        points = [tuple(point) for point in random.uniform(0.1, 0.9, (random.randint(2, 5), 2)) * side]
        width = max(1, int(side * random.uniform(0.02, 0.15)))
        if random.randint(2):
            pen.line(points, ink, width, "curve")
        else:
            pen.ellipse([*np.minimum(*points[:2]), *np.maximum(*points[:2])], None, ink, width)
    return image.resize((size, size), Resampling.BILINEAR)


def _background(size: int, random: RandomState) -> Image.Image:
    plain = Image.new("RGB", (size, size), _colour(random))
    period = size / random.uniform(2, 24)
    stripes = Image.fromarray(np.uint8(np.indices((size, size)).sum(0) // period % 2 * 255))
    striped = Image.composite(plain, Image.new("RGB", plain.size, _colour(random)), stripes)
    return [plain, striped, _add_noise(plain, random)][random.randint(3)]


def _add_noise(image: Image.Image, random: RandomState) -> Image.Image:
    noise = random.normal(0, 25, (*image.size, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def _colour(random: RandomState) -> Colour:
    return tuple(random.randint(0, 256, 3).tolist())
