"""Shapes: each class is a filled plane figure; rings, bars and double loops are left out, as they look like digits."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from starter.warp import CANVAS, CONTENT, Warp, warp

GEOMETRY = Warp(rotation=40.0, stretch=0.25)
OUTLINE_POINTS = 96


def _regular(corners: int) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Return the radius of a regular polygon as a function of the angle, a corner pointing up."""
    half = np.pi / corners
    return lambda angle: np.cos(half) / np.cos((angle + np.pi / 2) % (2 * half) - half)


def _star(points: int, inner: float) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    half = np.pi / points
    return lambda angle: inner + (1 - inner) * np.abs(((angle + np.pi / 2) / half) % 2 - 1) ** 1.5


def _flower(petals: int) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    return lambda angle: 0.62 + 0.38 * np.cos(petals * (angle + np.pi / 2))


RADII: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "triangle": _regular(3),
    "square": _regular(4),
    "pentagon": _regular(5),
    "disc": np.ones_like,
    "star of 3": _star(3, 0.2),
    "star of 4": _star(4, 0.25),
    "star of 5": _star(5, 0.35),
    "star of 6": _star(6, 0.45),
    "star of 9": _star(9, 0.5),
    "flower of 3": _flower(3),
    "flower of 4": _flower(4),
    "flower of 5": _flower(5),
    "flower of 7": _flower(7),
    "gear": lambda angle: np.where(np.sin(10 * angle) > 0, 1.0, 0.72),
    "drop": lambda angle: 0.5 + 0.5 * np.abs(np.cos((angle + np.pi / 2) / 2)) ** 6,
    "heart": lambda angle: (
        0.6 + 0.4 * np.abs(np.cos((angle + np.pi / 2) / 2)) - 0.45 * np.exp(-6 * (1 + np.sin(angle)))
    ),
    "half disc": lambda angle: np.where(np.sin(angle) > 0, 1.0, 0.02),
    "open disc": lambda angle: np.where(np.cos(angle) > np.cos(0.6), 0.02, 1.0),
}
CORNERS: dict[str, tuple[tuple[float, float], ...]] = {
    "cross": (
        (-1, -3),
        (1, -3),
        (1, -1),
        (3, -1),
        (3, 1),
        (1, 1),
        (1, 3),
        (-1, 3),
        (-1, 1),
        (-3, 1),
        (-3, -1),
        (-1, -1),
    ),
    "arrow": ((-3, -1), (0, -1), (0, -3), (3, 0), (0, 3), (0, 1), (-3, 1)),
    "chevron": ((-3, -3), (0, -3), (3, 0), (0, 3), (-3, 3), (0, 0)),
    "stairs": ((-3, 3), (-3, 1), (-1, 1), (-1, -1), (1, -1), (1, -3), (3, -3), (3, 3)),
    "bow tie": ((-3, -2), (0, -0.4), (3, -2), (3, 2), (0, 0.4), (-3, 2)),
    "trapezium": ((-1.2, -2), (1.2, -2), (3, 2), (-3, 2)),
}


class ShapeGenerator:
    """Classes that are plane figures."""

    name = "shapes"

    def __init__(self) -> None:
        """Make a class of each figure."""
        self.classes = (*RADII, *CORNERS)

    def draw(self, class_index: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Draw a figure with jittered corners, warped, uint8 [SIDE, SIDE], 255 inside."""
        outline = _outline(self.classes[class_index])
        outline = outline + rng.normal(0.0, 0.02, outline.shape) * (4 if len(outline) < OUTLINE_POINTS else 1)
        points = CANVAS / 2 + outline * (CONTENT / 2)
        canvas = Image.new("L", (CANVAS, CANVAS))
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in points], fill=255)
        return warp(np.asarray(canvas), GEOMETRY, rng)


def _outline(name: str) -> npt.NDArray[np.float64]:
    """Return a figure's outline, float64 [points, 2] within -1..1."""
    if name in CORNERS:
        return np.array(CORNERS[name]) / 3.0
    angle = np.linspace(-np.pi, np.pi, OUTLINE_POINTS, endpoint=False)
    radius = RADII[name](angle)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
