"""Augmented views of an image: one definition for the views that features caches and for live training."""

import json
import math
from hashlib import sha256, shake_256
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image

from tasks.images.decoding import Pixels

# Raised by whoever changes what a view looks like: old views are then no longer found in the feature store.
VERSION = 1
ASPECT = 4 / 3
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as in Pillow's greys
TILE = 1024


class AugmentationSpec(NamedTuple):
    """How far views may be from their image; the smallest values (and `crop` 1) switch an effect off."""

    horizontal_flip: bool  # half of the views have left and right changed
    vertical_flip: bool  # half of the views have top and bottom changed
    crop: float  # in (0, 1]: least share of the area that is kept
    rotation: float  # degrees, 0..180: turned by -rotation..rotation
    zoom: float  # 0..0.9: magnified by 1 - zoom..1 + zoom
    brightness: float  # 0..1: values times 1 - brightness..1 + brightness
    contrast: float  # 0..1: distances from the mean grey times 1 - contrast..1 + contrast
    colour: float  # 0..1: distances from the pixel's own grey times 1 - colour..1 + colour


class Change(NamedTuple):
    """What is done to one image, in the order of the fields."""

    mirror: bool  # left and right change places
    flip: bool  # top and bottom change places
    height: float  # share of the height that the crop keeps, in (0, 1]
    width: float
    top: float  # where the crop lies: 0 at the top, just below 1 at the bottom
    left: float
    scale: float  # magnification, 0.1..10
    degrees: float  # counter-clockwise, about the middle of the crop
    brightness: float  # factors, 0..2; 1 changes nothing
    contrast: float
    colour: float


def identity(spec: AugmentationSpec, seed: int) -> str:
    """Return the SHA-256, in hex, of all that decides what a view of a given image and number (>= 1) looks like.

    Pillow's version is part of it, for Pillow computes the pixels. View 0 is the plain image under every identity.
    """
    return sha256(json.dumps([VERSION, PIL.__version__, seed, *map(float, spec)]).encode()).hexdigest()


def make_view(pixels: Pixels, digest: str, number: int, seed: int, spec: AugmentationSpec) -> Pixels:
    """Return view `number` (>= 0) of an image; view 0 is the very array that was given.

    `pixels` are uint8 RGB [H, W, 3] with H, W >= 1, `digest` is the image's SHA-256 in hex. The result is such an array
    too, of about the same resolution but other height and width: the network's graph resizes it. It depends on the
    arguments and Pillow's version alone, not on the process or what was computed before.
    """
    return apply_change(pixels, draw_change(digest, number, seed, spec)) if number else pixels


def draw_change(digest: str, number: int, seed: int, spec: AugmentationSpec) -> Change:
    """Draw the change that makes view `number` (>= 1) of the image with this SHA-256.

    Each effect has its own random number, so that switching one on or off leaves the others of a view as they were.
    Crops are drawn as in "Going Deeper with Convolutions" (Szegedy et al. 2015): a share of the area, and an aspect
    changed by 3/4..4/3; relative to the image's own aspect, because the graph makes squares of all of them.
    """
    # Not numpy's Generator: its streams may change from release to release.
    stream = shake_256(f"{VERSION}:{seed}:{digest}:{number}".encode()).digest(8 * len(Change._fields))
    mirror, flip, share, stretch, top, left, *factors = ((np.frombuffer(stream, "<u8") >> 11) * 2.0**-53).tolist()
    area = 1 - (1 - spec.crop) * share
    aspect = min(ASPECT, 1 / area) ** (2 * stretch - 1)  # a stronger one would not fit into the image
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
    """Change an image, uint8 RGB [H, W, 3] with H, W >= 1; returns such an array, C-contiguous.

    All of the geometry is one look at the original pixels through a moved and turned window. The window is magnified by
    being smaller, so only a turned one interpolates (linearly). Beyond its edges the image goes on mirrored.
    """
    reduction = int(1 / change.scale)
    if reduction > 1:  # The window would be many times the image's size, only for the graph to shrink it again.
        size = (max(1, pixels.shape[1] // reduction), max(1, pixels.shape[0] // reduction))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    rows = _window(pixels.shape[0], change.height, change.top, change.scale)
    columns = _window(pixels.shape[1], change.width, change.left, change.scale)
    toned = (change.brightness, change.contrast, change.colour) != (1, 1, 1)
    if not change.degrees and not toned:
        return _region(pixels, change, rows, columns)
    if change.degrees:
        image = _turned(pixels, change, rows, columns)
    else:
        image = Image.fromarray(_region(pixels, change, rows, columns))
    return np.asarray(_toned(image, change) if toned else image)


def _window(size: int, share: float, place: float, scale: float) -> range:
    """Return what the window covers of an axis of `size` pixels, or would if it were not turned."""
    kept = min(size, math.ceil(size * share))
    length = max(1, round(kept / scale))
    start = int(place * (size - kept + 1)) + (kept - length) // 2
    return range(start, start + length)


def _region(pixels: Pixels, change: Change, rows: range, columns: range) -> Pixels:
    """Return rows and columns of the flipped image, which may lie outside it."""
    down = _places(rows, pixels.shape[0], backwards=change.flip)
    across = _places(columns, pixels.shape[1], backwards=change.mirror)
    top, left = int(down.min()), int(across.min())
    # `take` copies whole rows: of a large image, let it see only what the region needs.
    needed = pixels[top : down.max() + 1, left : across.max() + 1]
    return needed.take(down - top, axis=0).take(across - left, axis=1)


def _places(wanted: range, size: int, *, backwards: bool) -> npt.NDArray[np.int64]:
    """Return where to find the wanted places of an axis that is mirrored about its first and last pixel."""
    last = size - 1
    places = np.abs((np.arange(wanted.start, wanted.stop) + last) % max(1, 2 * last) - last)
    return last - places if backwards else places


def _turned(pixels: Pixels, change: Change, rows: range, columns: range) -> Image.Image:
    """Return what the turned window shows; tile by tile, for the box around a long, thin one could be immense."""
    cosine, sine = math.cos(math.radians(change.degrees)), math.sin(math.radians(change.degrees))
    height, width = len(rows), len(columns)
    result = Image.new("RGB", (width, height))
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            size = (min(TILE, width - x), min(TILE, height - y))
            # Where in the image the tile's first corner lies, and how far its two sides go from there.
            right, down = x - width / 2, y - height / 2
            corner_x = columns.start + width / 2 + cosine * right - sine * down
            corner_y = rows.start + height / 2 + sine * right + cosine * down
            across = _reach(corner_x, cosine * size[0], -sine * size[1])
            along = _reach(corner_y, sine * size[0], cosine * size[1])
            source = Image.fromarray(_region(pixels, change, along, across))
            matrix = (cosine, -sine, corner_x - across.start, sine, cosine, corner_y - along.start)
            tile = source.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
            result.paste(tile, (x, y))
    return result


def _reach(corner: float, side: float, other: float) -> range:
    """Return the pixels that a parallelogram covers along an axis, and those beside them that interpolation needs."""
    lowest = corner + min(side, 0) + min(other, 0)
    highest = corner + max(side, 0) + max(other, 0)
    return range(math.floor(lowest) - 1, math.ceil(highest) + 1)


def _toned(image: Image.Image, change: Change) -> Image.Image:
    """Change brightness, contrast and colour by one matrix, so that values are rounded and clipped only once."""
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
