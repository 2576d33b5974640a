"""The shape world: filled plane figures. None is a ring, a bar or two lobes, which would pass for 0, 1 and 8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from starter.warp import CANVAS, CONTENT, Warp, warp

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_TURN = Warp(rotation=40.0, stretch=0.25)
_OUTLINE_POINTS = 96


def _regular(corners: int) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return the radius of a regular polygon as a function of the angle, a corner pointing up."""
    half = np.pi / corners
    return lambda angle: np.cos(half) / np.cos((angle + np.pi / 2) % (2 * half) - half)


def _star(points: int, inner: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    half = np.pi / points
    return lambda angle: inner + (1 - inner) * np.abs(((angle + np.pi / 2) / half) % 2 - 1) ** 1.5


def _flower(petals: int) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return lambda angle: 0.62 + 0.38 * np.cos(petals * (angle + np.pi / 2))


_RADII: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
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
_CORNERS: dict[str, tuple[tuple[float, float], ...]] = {
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


class ShapeWorld:
    """Plane figures as classes."""

    name = "shapes"

    def __init__(self) -> None:
        """List the figures."""
        self.classes = (*_RADII, *_CORNERS)

    def draw(self, label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw one warped figure with unsteady corners, uint8 [SIDE, SIDE], 255 inside."""
        outline = _outline(self.classes[label])
        outline = outline + rng.normal(0.0, 0.02, outline.shape) * (4 if len(outline) < _OUTLINE_POINTS else 1)
        points = CANVAS / 2 + outline * (CONTENT / 2)
        canvas = Image.new("L", (CANVAS, CANVAS))
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in points], fill=255)
        return warp(np.asarray(canvas), _TURN, rng)


def _outline(name: str) -> NDArray[np.float64]:
    """Return a figure's outline, float64 [points, 2] within -1..1."""
    if name in _CORNERS:
        return np.array(_CORNERS[name]) / 3.0
    angle = np.linspace(-np.pi, np.pi, _OUTLINE_POINTS, endpoint=False)
    radius = _RADII[name](angle)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
