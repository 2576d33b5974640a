"""Strokes: each class is an invented character of a few pen strokes, written with jitter.

Fonts vary little within a class, but handwriting varies much. A class is a list of strokes through a few control points
on a coarse grid (compare the stroke programs of Lake et al. 2015, 'Human-level concept learning through probabilistic
program induction'); each draw moves the control points and changes the pen's width.
"""

from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from starter.warp import CANVAS, CONTENT, Warp, warp

Character: TypeAlias = tuple[npt.NDArray[np.float64], ...]
"""Strokes in drawing order, each float64 [control points, 2] of x and y in 0..1."""

GEOMETRY = Warp(rotation=18.0)
GRID = 4
JITTER = (0.02, 0.07)
PEN_WIDTH = (3.0, 12.0)
JOIN_CHANCE = 0.75
STRAIGHT_POINTS = 2
CURVE_POINTS = 8
THUMBNAIL_SIDE = 32
MAX_DIGIT_CORRELATION = 0.58
SLANTS = (-0.3, 0.0, 0.3)
MAX_CHARACTER_CORRELATION = 0.74

# The ten digits as people write them, used only to reject invented characters that resemble one.
DIGITS: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = (
    (((0.5, 0), (0.1, 0.3), (0.1, 0.7), (0.5, 1), (0.9, 0.7), (0.9, 0.3), (0.5, 0)),),
    (((0.5, 0), (0.5, 0.5), (0.5, 1)),),
    (((0.2, 0.3), (0.5, 0), (0.5, 0.5), (0.5, 1)),),
    (((0.2, 0.3), (0.5, 0), (0.5, 1)), ((0.1, 1), (0.9, 1))),
    (((0.1, 0.2), (0.5, 0), (0.85, 0.25), (0.5, 0.6), (0.1, 1)), ((0.1, 1), (0.9, 1))),
    (((0.1, 0), (0.9, 0)), ((0.9, 0), (0.1, 1)), ((0.1, 1), (0.9, 1))),
    (((0.1, 0.1), (0.6, 0), (0.85, 0.25), (0.4, 0.48)), ((0.4, 0.48), (0.9, 0.7), (0.6, 1), (0.1, 0.9))),
    (((0.6, 0), (0.05, 0.65)), ((0.05, 0.65), (0.95, 0.65)), ((0.6, 0), (0.6, 1))),
    (((0.15, 0), (0.05, 0.55)), ((0.05, 0.55), (0.95, 0.55)), ((0.8, 0), (0.7, 1))),
    (((0.9, 0), (0.2, 0)), ((0.2, 0), (0.15, 0.45)), ((0.15, 0.45), (0.8, 0.45), (0.85, 0.8), (0.5, 1), (0.1, 0.9))),
    (((0.8, 0), (0.25, 0.35), (0.1, 0.75), (0.5, 1), (0.9, 0.75), (0.5, 0.5), (0.12, 0.7)),),
    (((0.1, 0), (0.9, 0)), ((0.9, 0), (0.55, 0.5), (0.35, 1))),
    (((0.1, 0), (0.9, 0)), ((0.9, 0), (0.1, 1))),
    (((0.1, 0), (0.9, 0)), ((0.9, 0), (0.55, 0.5), (0.35, 1)), ((0.3, 0.5), (0.8, 0.5))),
    (
        (
            (0.5, 0.48),
            (0.15, 0.25),
            (0.5, 0),
            (0.85, 0.25),
            (0.5, 0.48),
            (0.1, 0.75),
            (0.5, 1),
            (0.9, 0.75),
            (0.5, 0.48),
        ),
    ),
    (((0.85, 0.25), (0.5, 0.5), (0.1, 0.25), (0.5, 0), (0.85, 0.25), (0.8, 0.6), (0.7, 1)),),
)


class StrokeGenerator:
    """Classes that are invented characters, the same for the same seed."""

    name = "strokes"

    def __init__(self, classes: int = 200, seed: int = 7) -> None:
        """Name the classes; the characters are invented when they are first needed, which takes seconds."""
        self.classes = tuple(f"character {number}" for number in range(classes))
        self._seed = seed

    @cached_property
    def characters(self) -> tuple[Character, ...]:
        """The invented characters; none resembles a digit or another character."""
        rng = np.random.default_rng(self._seed)
        digits = np.stack([thumbnail(digit) for digit in digit_characters()])
        thumbnails = np.zeros((len(self.classes), digits.shape[1]))
        characters: list[Character] = []
        while len(characters) < len(self.classes):
            character = _invent(rng)
            pixels = thumbnail(character)
            digit_correlation, character_correlation = (digits @ pixels).max(), (thumbnails @ pixels).max()
            if digit_correlation < MAX_DIGIT_CORRELATION and character_correlation < MAX_CHARACTER_CORRELATION:
                thumbnails[len(characters)] = pixels
                characters.append(character)
        return tuple(characters)

    def draw(self, class_index: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Write one character, uint8 [SIDE, SIDE], 255 where there is ink."""
        jitter = rng.uniform(*JITTER)
        strokes = tuple(stroke + rng.normal(0.0, jitter, stroke.shape) for stroke in self.characters[class_index])
        pen = float(np.exp(rng.uniform(*np.log(PEN_WIDTH))))
        return warp(_write_strokes(strokes, pen, CANVAS, CONTENT), GEOMETRY, rng)


def digit_characters() -> tuple[Character, ...]:
    """Return the ten digits in their common written forms, upright and slanted both ways."""
    return tuple(
        tuple(np.array(stroke) @ np.array([[1.0, 0.0], [slant, 1.0]]) for stroke in strokes)
        for strokes in DIGITS
        for slant in SLANTS
    )


def thumbnail(character: Character) -> npt.NDArray[np.float64]:
    """Return a small blurred image of a character, float64 [32 * 32]; the dot product of two is their correlation."""
    points = np.concatenate([_curve(stroke) for stroke in character])
    low = points.min(axis=0)
    # Width and height are scaled separately, to detect squeezed digits; the minimum keeps a bar from becoming a block.
    span = np.maximum(points.max(axis=0) - low, 0.25)
    fitted = tuple((stroke - low) / span for stroke in character)
    image = Image.fromarray(_write_strokes(fitted, 3.0, THUMBNAIL_SIDE, 24)).filter(ImageFilter.GaussianBlur(1.6))
    pixels = np.asarray(image, dtype=np.float64).ravel()
    pixels -= pixels.mean()
    return pixels / np.linalg.norm(pixels)


def _invent(rng: np.random.Generator) -> Character:
    """Invent a character of two to four strokes; most later strokes start on an earlier one."""
    strokes: list[npt.NDArray[np.float64]] = []
    for _ in range(int(rng.integers(2, 5))):
        count = int(rng.choice((2, 3, 4), p=(0.3, 0.4, 0.3)))
        grid = rng.permutation(GRID * GRID)[:count]
        points = np.stack([grid % GRID, grid // GRID], axis=1) / (GRID - 1)
        if strokes and rng.random() < JOIN_CHANCE:
            earlier = strokes[int(rng.integers(len(strokes)))]
            points[0] = earlier[int(rng.integers(len(earlier)))]
        strokes.append(points)
    return tuple(strokes)


def _curve(stroke: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return points along the Catmull-Rom spline through the control points, float64 [points, 2]."""
    if len(stroke) == STRAIGHT_POINTS:
        return stroke
    padded = np.concatenate([2 * stroke[:1] - stroke[1:2], stroke, 2 * stroke[-1:] - stroke[-2:-1]])
    before, start, end, after = (padded[shift : len(padded) - 3 + shift, None] for shift in range(4))
    t = np.linspace(0.0, 1.0, CURVE_POINTS)[None, :, None]
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return np.asarray(curve.reshape(-1, 2))


def _write_strokes(strokes: Character, pen: float, canvas: int, content: int) -> npt.NDArray[np.uint8]:
    """Draw strokes with a round pen `pen` pixels wide into the centred content box, uint8 [canvas, canvas]."""
    fine = 2  # drawn at twice the size and then reduced, because Pillow's lines have jagged edges
    image = Image.new("L", (canvas * fine, canvas * fine))
    draw = ImageDraw.Draw(image)
    radius = pen * fine / 2
    margin = (canvas - content) * fine / 2 + radius
    for stroke in strokes:
        points = margin + _curve(stroke) * (content - pen) * fine
        path = [(float(x), float(y)) for x, y in points]
        draw.line(path, fill=255, width=round(2 * radius), joint="curve")
        for x, y in (path[0], path[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(image.reduce(fine))
