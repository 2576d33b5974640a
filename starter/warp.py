"""Geometry: a mask turned, scaled, sheared, shifted and bent as if drawn by another hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 64
"""Side of every generated image, in pixels."""
CANVAS = 80
"""Side of the canvas on which a mask is drawn before it is warped, in pixels."""
CONTENT = 64
"""Side of the centred box of the canvas which a mask fills, in pixels."""

_CELLS = 4
_FILL = 54 / CONTENT  # at scale 1 the content box covers 54 of the 64 pixels, so a shift of 5 keeps it inside


@dataclass(frozen=True)
class Warp:
    """Ranges of the random geometry; lengths in output pixels, angles in degrees."""

    rotation: float
    scale: tuple[float, float] = (0.55, 1.15)
    shear: float = 0.25
    stretch: float = 0.2
    shift: float = 5.0
    bend: float = 2.4


def warp(mask: NDArray[np.uint8], ranges: Warp, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Warp a canvas mask at random.

    The mask is uint8 [CANVAS, CANVAS], 0 outside; the result is uint8 [SIDE, SIDE]. An affine map (rotation, scale,
    stretch, shear, shift) and an elastic mesh of 4x4 cells with random corners are applied in one bilinear sampling.
    """
    angle = np.deg2rad(rng.uniform(-ranges.rotation, ranges.rotation))
    scale = np.exp(rng.uniform(*np.log(ranges.scale))) * _FILL
    stretch = np.exp(rng.uniform(-ranges.stretch, ranges.stretch))
    shear = rng.uniform(-ranges.shear, ranges.shear)
    cos, sin = np.cos(angle), np.sin(angle)
    forward = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    forward = forward @ np.diag([scale * stretch, scale / stretch])
    corners = np.linspace(0.0, SIDE, _CELLS + 1)
    target = np.stack(np.meshgrid(corners, corners), axis=-1) - SIDE / 2
    target += rng.uniform(-ranges.shift, ranges.shift, size=2)
    target += rng.normal(0.0, rng.uniform(0.0, ranges.bend), size=target.shape)
    source = target @ np.linalg.inv(forward).T + CANVAS / 2
    return np.asarray(Image.fromarray(mask).transform((SIDE, SIDE), Image.Transform.MESH, _mesh(source), _BILINEAR))


_BILINEAR = Image.Resampling.BILINEAR


def _mesh(source: NDArray[np.float64]) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Return Pillow's mesh: each target box with its source corners, clockwise by column from the upper left."""
    step = SIDE // _CELLS
    mesh: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
    for row in range(_CELLS):
        for column in range(_CELLS):
            box = (column * step, row * step, (column + 1) * step, (row + 1) * step)
            quad = (
                *source[row, column],
                *source[row + 1, column],
                *source[row + 1, column + 1],
                *source[row, column + 1],
            )
            mesh.append((box, tuple(float(number) for number in quad)))
    return mesh


def thicken(mask: NDArray[np.uint8], amount: int) -> NDArray[np.uint8]:
    """Dilate (amount > 0) or erode (amount < 0) the strokes of a mask by that many pixels.

    An erosion that would leave less than a third of the ink is not applied: thin strokes must not vanish.
    """
    if amount == 0:
        return mask
    combine = np.maximum if amount > 0 else np.minimum
    result = mask
    for _ in range(abs(amount)):
        wide = result.copy()
        combine(wide[1:], result[:-1], out=wide[1:])
        combine(wide[:-1], result[1:], out=wide[:-1])
        combine(wide[:, 1:], result[:, :-1], out=wide[:, 1:])
        combine(wide[:, :-1], result[:, 1:], out=wide[:, :-1])
        result = wide
    if amount < 0 and int(result.sum()) * 3 < int(mask.sum()):
        return mask
    return result
