"""Generated images of eight kinds of surface on brushed metal, for the trial only and never for pretraining.

The kinds follow the defects that surface inspection looks for (compare the NEU surface defect database of Song and
Yan, 2013), but none of its images is used.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

SIDE = 64
"""Side of an image, in pixels."""

MAX_BRANCHES = 6
BRANCH_CHANCE = 0.12
AXIS = np.arange(SIDE, dtype=np.float32)
Layer = npt.NDArray[np.float32]


def defect_images(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Draw `count` images of every kind.

    Returns:
        The images, uint8 [8 * count, SIDE, SIDE, 3], and their class indexes, int32 [8 * count].
    """
    images, class_indexes = [], []
    for class_index, kind in enumerate(KINDS):
        for number in range(count):
            images.append(draw_surface(kind, np.random.default_rng((seed, class_index, number))))
            class_indexes.append(class_index)
    return np.stack(images), np.array(class_indexes, dtype=np.int32)


def draw_surface(kind: str, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw metal under uneven light with a defect of a kind, 15-70 levels darker or brighter, uint8 [SIDE, SIDE, 3]."""
    grain = rng.standard_normal((SIDE, 1)) * rng.uniform(1, 7) + rng.standard_normal((SIDE, SIDE)) * rng.uniform(2, 8)
    light = rng.uniform(-0.25, 0.25, 2)
    sheet = (rng.uniform(80, 180) + grain) * (
        1 + light[0] * (AXIS[:, None] / SIDE - 0.5) + light[1] * (AXIS / SIDE - 0.5)
    )
    sign = rng.choice((-1.0, 1.0), p=(0.7, 0.3))
    sheet = sheet + sign * rng.uniform(15, 70) * KINDS[kind](rng)
    grey = np.clip(sheet, 0, 255)[..., None]
    tint = 1 + rng.normal(0, 0.03, 3)
    return np.asarray(np.clip(grey * tint, 0, 255), dtype=np.uint8)


def _draw_lines(lines: list[list[tuple[float, float]]], width: int, blur: float) -> Layer:
    """Return blurred lines of 0..1; `width` is in half pixels."""
    image = Image.new("L", (2 * SIDE, 2 * SIDE))
    draw = ImageDraw.Draw(image)
    for line in lines:
        draw.line([(2 * x, 2 * y) for x, y in line], fill=255, width=width)
    return np.asarray(image.reduce(2).filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / np.float32(255)


def _blob(x: float, y: float, across: float, along: float, angle: float, edge: float) -> Layer:
    """Return an ellipse of 0..1 whose soft edge is `edge` pixels wide."""
    dx, dy = AXIS[None, :] - x, AXIS[:, None] - y
    u, v = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    inside = (1 - np.hypot(u / along, v / across)) * min(across, along)
    return np.asarray(np.clip(inside / edge + 0.5, 0, 1), dtype=np.float32)


def _clean(_: np.random.Generator) -> Layer:
    return np.zeros((SIDE, SIDE), dtype=np.float32)


def _scratches(rng: np.random.Generator) -> Layer:
    lines = []
    for _ in range(int(rng.integers(1, 4))):
        angle, length = rng.uniform(0, np.pi), rng.uniform(25, 60)
        x, y = rng.uniform(12, SIDE - 12, 2)
        t = np.linspace(-0.5, 0.5, 12)
        bend = rng.normal(0, 4) * (t**2 * 4 - 1)
        xs, ys = (
            x + length * t * np.cos(angle) - bend * np.sin(angle),
            y + length * t * np.sin(angle) + bend * np.cos(angle),
        )
        lines.append([(float(a), float(b)) for a, b in zip(xs, ys, strict=True)])
    return _draw_lines(lines, int(rng.integers(2, 5)), 0.4)


def _pits(rng: np.random.Generator) -> Layer:
    layer = _clean(rng)
    for _ in range(int(rng.integers(8, 28))):
        x, y = rng.uniform(2, SIDE - 2, 2)
        radius = rng.uniform(0.8, 2.4)
        layer = np.maximum(layer, _blob(x, y, radius, radius * rng.uniform(1, 1.4), rng.uniform(0, np.pi), 1.2))
    return layer


def _crack(rng: np.random.Generator) -> Layer:
    lines: list[list[tuple[float, float]]] = []
    heading = rng.uniform(0, 2 * np.pi)
    tips = [
        (
            SIDE / 2 - 26 * np.cos(heading) + rng.normal(0, 6),
            SIDE / 2 - 26 * np.sin(heading) + rng.normal(0, 6),
            heading,
        )
    ]
    while tips and len(lines) < MAX_BRANCHES:
        x, y, direction = tips.pop()
        line = [(x, y)]
        for _ in range(int(rng.integers(6, 15))):
            angle = direction + rng.normal(0, 0.7)
            x, y = x + 4 * np.cos(angle), y + 4 * np.sin(angle)
            line.append((x, y))
            if rng.random() < BRANCH_CHANCE:
                tips.append((x, y, direction + rng.choice((-0.9, 0.9))))
        lines.append(line)
    return _draw_lines(lines, int(rng.integers(2, 5)), 0.3)


def _stain(rng: np.random.Generator) -> Layer:
    layer = _clean(rng)
    x, y = rng.uniform(20, SIDE - 20, 2)
    for _ in range(4):
        dx, dy = rng.normal(0, 6, 2)
        layer = np.maximum(
            layer, _blob(x + dx, y + dy, rng.uniform(6, 13), rng.uniform(8, 16), rng.uniform(0, np.pi), 7)
        )
    return layer * np.float32(0.7)


def _inclusions(rng: np.random.Generator) -> Layer:
    layer = _clean(rng)
    direction = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(10, SIDE - 10, 2)
        spread = direction + rng.normal(0, 0.1)
        layer = np.maximum(layer, _blob(x, y, rng.uniform(1.2, 3), rng.uniform(7, 15), spread, 1.5))
    return layer


def _dent(rng: np.random.Generator) -> Layer:
    x, y = rng.uniform(18, SIDE - 18, 2)
    radius, angle = rng.uniform(7, 15), rng.uniform(0, 2 * np.pi)
    slope = ((AXIS[None, :] - x) * np.cos(angle) + (AXIS[:, None] - y) * np.sin(angle)) / radius
    return np.asarray(_blob(x, y, radius, radius * rng.uniform(1, 1.4), angle, 4) * slope, dtype=np.float32)


def _crazing(rng: np.random.Generator) -> Layer:
    seeds = rng.uniform(-8, SIDE + 8, (int(rng.integers(20, 60)), 2))
    distance = np.hypot(AXIS[None, :, None] - seeds[:, 0], AXIS[:, None, None] - seeds[:, 1])
    nearest = np.partition(distance, 1, axis=-1)
    return np.asarray(np.clip(1.6 - (nearest[..., 1] - nearest[..., 0]), 0, 1), dtype=np.float32) * np.float32(0.8)


KINDS: dict[str, Callable[[np.random.Generator], Layer]] = {
    "clean": _clean,
    "scratches": _scratches,
    "pits": _pits,
    "crack": _crack,
    "stain": _stain,
    "inclusions": _inclusions,
    "dent": _dent,
    "crazing": _crazing,
}
"""The classes, each with the function that draws its layer, float32 [SIDE, SIDE] in about -1..1."""
