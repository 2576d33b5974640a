"""Augmented views of an image, the same for cached features and for live training."""

import json
import math
from hashlib import sha256, shake_256
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image

from tasks.images.decoding import Pixels

# Increase this number with every change to the pixels of views; the feature store then computes new vectors.
VERSION = 1
# A crop changes the aspect ratio of its image by a factor between 1 / ASPECT and ASPECT.
ASPECT = 4 / 3
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as in Pillow's greys
TILE = 1024  # side of the tiles, in pixels, that a rotated view is computed in


class AugmentationSpec(NamedTuple):
    """The bounds on the changes; an effect is off at the smallest value of its field, `crop` at 1."""

    horizontal_flip: bool  # mirror half of the views left to right
    vertical_flip: bool  # mirror half of the views top to bottom
    crop: float  # in (0, 1]: smallest share of the area that a crop keeps
    rotation: float  # in degrees, 0..180: rotate by -rotation..rotation
    zoom: float  # 0..0.9: magnify by 1 - zoom..1 + zoom
    brightness: float  # 0..1: multiply values by 1 - brightness..1 + brightness
    contrast: float  # 0..1: multiply differences from the mean grey by 1 - contrast..1 + contrast
    colour: float  # 0..1: multiply differences from the pixel's own grey by 1 - colour..1 + colour


class Change(NamedTuple):
    """The changes to one image, applied in the order of the fields."""

    mirror: bool  # mirror left to right
    flip: bool  # mirror top to bottom
    height: float  # share of the height that the crop keeps, in (0, 1]
    width: float
    top: float  # position of the crop: 0 at the top, just below 1 at the bottom
    left: float
    scale: float  # magnification, 0.1..10
    degrees: float  # counter-clockwise, about the centre of the crop
    brightness: float  # a factor, 0..2, as the next two; 1 changes nothing
    contrast: float
    colour: float


def identity(spec: AugmentationSpec, seed: int) -> str:
    """Return a SHA-256 in hex of everything but the image and the view's number (>= 1) that affects a view's pixels.

    It covers Pillow's version, because Pillow computes the pixels. View 0 is the plain image for every identity.
    """
    return sha256(json.dumps([VERSION, PIL.__version__, seed, *map(float, spec)]).encode()).hexdigest()


def make_view(pixels: Pixels, digest: str, number: int, seed: int, spec: AugmentationSpec) -> Pixels:
    """Return view `number` (>= 0) of an image; view 0 is `pixels` itself.

    `pixels` is uint8 RGB [H, W, 3] with H, W >= 1; `digest` is the image's SHA-256 in hex. The view has the same type
    and about the same resolution, but another height and width: the network's graph resizes it. It depends only on the
    arguments and Pillow's version, not on the process or on earlier calls.
    """
    return apply_change(pixels, draw_change(digest, number, seed, spec)) if number else pixels


def draw_change(digest: str, number: int, seed: int, spec: AugmentationSpec) -> Change:
    """Draw the change that makes view `number` (>= 1) of the image with this SHA-256.

    Each effect uses its own random numbers, so switching an effect on or off does not affect the others of a view.
    Crops are drawn as in "Going Deeper with Convolutions" (Szegedy et al. 2015): a share of the area, and a change of
    aspect ratio by 3/4..4/3. The change is relative to the image's own ratio, because the graph resizes every image to
    a square.
    """
    # numpy's Generator is not used, because its streams may change between releases.
    stream = shake_256(f"{VERSION}:{seed}:{digest}:{number}".encode()).digest(8 * len(Change._fields))
    mirror, flip, share, stretch, top, left, *factors = ((np.frombuffer(stream, "<u8") >> 11) * 2.0**-53).tolist()
    area = 1 - (1 - spec.crop) * share
    aspect = min(ASPECT, 1 / area) ** (2 * stretch - 1)  # a stronger change would not fit into the image
    zoom, rotation, brightness, contrast, colour = (2 * factor - 1 for factor in factors)
    return Change(
        mirror=spec.horizontal_flip and mirror < 1 / 2,
        flip=spec.vertical_flip and flip < 1 / 2,
        height=math.sqrt(area / aspect),
        width=math.sqrt(area * aspect),
        top=top,
        left=left,
        scale=1 + spec.zoom * zoom,
        degrees=spec.rotation * rotation,
        brightness=1 + spec.brightness * brightness,
        contrast=1 + spec.contrast * contrast,
        colour=1 + spec.colour * colour,
    )


def apply_change(pixels: Pixels, change: Change) -> Pixels:
    """Apply a change to an image, uint8 RGB [H, W, 3] with H, W >= 1, and return one of that type, C-contiguous.

    All geometry is a single sampling of the original pixels through a shifted and rotated window. A smaller window
    magnifies, so only rotation interpolates (linearly). Outside its edges the image is continued by reflection.
    """
    reduction = int(1 / change.scale)
    if reduction > 1:  # The view would be many times larger than the image, and the graph would shrink it again.
        size = (max(1, pixels.shape[1] // reduction), max(1, pixels.shape[0] // reduction))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    rows = _window(pixels.shape[0], change.height, change.top, change.scale)
    columns = _window(pixels.shape[1], change.width, change.left, change.scale)
    changes_tones = (change.brightness, change.contrast, change.colour) != (1, 1, 1)
    if not change.degrees and not changes_tones:
        return _region(pixels, change, rows, columns)
    if change.degrees:
        image = _rotate(pixels, change, rows, columns)
    else:
        image = Image.fromarray(_region(pixels, change, rows, columns))
    return np.asarray(_adjust_tones(image, change) if changes_tones else image)


def _window(size: int, share: float, position: float, scale: float) -> range:
    """Return the pixels that the window, before rotation, covers on an axis of `size` pixels."""
    crop_size = min(size, math.ceil(size * share))
    length = max(1, round(crop_size / scale))
    start = int(position * (size - crop_size + 1)) + (crop_size - length) // 2
    return range(start, start + length)


def _region(pixels: Pixels, change: Change, rows: range, columns: range) -> Pixels:
    """Return these rows and columns of the mirrored image; they may lie outside it."""
    down = _source_positions(rows, pixels.shape[0], backwards=change.flip)
    across = _source_positions(columns, pixels.shape[1], backwards=change.mirror)
    top, left = int(down.min()), int(across.min())
    # `take` copies whole rows, so the image is first limited to the part that the region needs.
    needed = pixels[top : down.max() + 1, left : across.max() + 1]
    return needed.take(down - top, axis=0).take(across - left, axis=1)


def _source_positions(positions: range, size: int, *, backwards: bool) -> npt.NDArray[np.int64]:
    """Map positions on an axis that is reflected at its first and last pixel to positions in the image."""
    last = size - 1
    source = np.abs((np.arange(positions.start, positions.stop) + last) % max(1, 2 * last) - last)
    return last - source if backwards else source


def _rotate(pixels: Pixels, change: Change, rows: range, columns: range) -> Image.Image:
    """Sample the rotated window in tiles, because the bounding box of a long, thin window could be huge."""
    cosine, sine = math.cos(math.radians(change.degrees)), math.sin(math.radians(change.degrees))
    height, width = len(rows), len(columns)
    result = Image.new("RGB", (width, height))
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            size = (min(TILE, width - x), min(TILE, height - y))
            # The position in the image of the tile's first corner, from which its two sides extend.
            right, down = x - width / 2, y - height / 2
            corner_x = columns.start + width / 2 + cosine * right - sine * down
            corner_y = rows.start + height / 2 + sine * right + cosine * down
            across = _covered_range(corner_x, cosine * size[0], -sine * size[1])
            along = _covered_range(corner_y, sine * size[0], cosine * size[1])
            source = Image.fromarray(_region(pixels, change, along, across))
            matrix = (cosine, -sine, corner_x - across.start, sine, cosine, corner_y - along.start)
            tile = source.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
            result.paste(tile, (x, y))
    return result


def _covered_range(corner: float, side: float, other: float) -> range:
    """Return the pixels of an axis that a parallelogram covers, with the neighbours that interpolation needs."""
    lowest = corner + min(side, 0) + min(other, 0)
    highest = corner + max(side, 0) + max(other, 0)
    return range(math.floor(lowest) - 1, math.ceil(highest) + 1)


def _adjust_tones(image: Image.Image, change: Change) -> Image.Image:
    """Change brightness, contrast and colour by a single matrix, so that values are rounded and clipped only once."""
    totals = (np.reshape(image.histogram(), (3, 256)) @ np.arange(256)).tolist()
    grey = sum(weight * total for weight, total in zip(LUMA, totals, strict=True)) / (image.width * image.height)
    gain = change.brightness * change.contrast
    lift = change.brightness * (1 - change.contrast) * grey
    matrix: list[float] = []
    for channel in range(3):
        row = [gain * (1 - change.colour) * weight for weight in LUMA]
        row[channel] += gain * change.colour
        matrix += [*row, lift]
    return image.convert("RGB", tuple(matrix))
