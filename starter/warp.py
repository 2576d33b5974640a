"""Random geometry: rotation, scale, shear, shift and elastic deformation of a mask, and thicker or thinner strokes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 64
"""Side of every generated image, in pixels."""
CANVAS = 80
"""Side of the canvas on which a mask is drawn before it is warped, in pixels."""
CONTENT = 64
"""Side of the centred box of the canvas that a mask fills, in pixels."""

BILINEAR = Image.Resampling.BILINEAR
CELLS = 4
FILL = 54 / CONTENT  # at scale 1 the content box covers 54 of the 64 pixels, so a shift of 5 keeps it inside


@dataclass(frozen=True)
class Warp:
    """Ranges of the random geometry; lengths in output pixels, angles in degrees."""

    rotation: float
    scale: tuple[float, float] = (0.55, 1.15)
    shear: float = 0.25
    stretch: float = 0.2
    shift: float = 5.0
    bend: float = 2.4


def warp(mask: npt.NDArray[np.uint8], ranges: Warp, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Warp a canvas mask at random.

    An affine map (rotation, scale, stretch, shear, shift) and an elastic mesh of 4x4 cells with random corners are
    applied in one bilinear sampling. The mask is uint8 [CANVAS, CANVAS]; pixels outside it count as 0.

    Returns:
        A mask, uint8 [SIDE, SIDE].
    """
    angle = np.deg2rad(rng.uniform(-ranges.rotation, ranges.rotation))
    scale = np.exp(rng.uniform(*np.log(ranges.scale))) * FILL
    stretch = np.exp(rng.uniform(-ranges.stretch, ranges.stretch))
    shear = rng.uniform(-ranges.shear, ranges.shear)
    cos, sin = np.cos(angle), np.sin(angle)
    forward = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    forward = forward @ np.diag([scale * stretch, scale / stretch])
    corners = np.linspace(0.0, SIDE, CELLS + 1)
    target = np.stack(np.meshgrid(corners, corners), axis=-1) - SIDE / 2
    target += rng.uniform(-ranges.shift, ranges.shift, size=2)
    target += rng.normal(0.0, rng.uniform(0.0, ranges.bend), size=target.shape)
    source = target @ np.linalg.inv(forward).T + CANVAS / 2
    return np.asarray(Image.fromarray(mask).transform((SIDE, SIDE), Image.Transform.MESH, _mesh(source), BILINEAR))


def _mesh(source: npt.NDArray[np.float64]) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Return Pillow's mesh: each target box with its source corners, clockwise by column from the upper left."""
    step = SIDE // CELLS
    mesh: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
    for row in range(CELLS):
        for column in range(CELLS):
            box = (column * step, row * step, (column + 1) * step, (row + 1) * step)
            quad = (
                *source[row, column],
                *source[row + 1, column],
                *source[row + 1, column + 1],
                *source[row, column + 1],
            )
            mesh.append((box, tuple(float(number) for number in quad)))
    return mesh


def thicken(mask: npt.NDArray[np.uint8], amount: int) -> npt.NDArray[np.uint8]:
    """Dilate (amount > 0) or erode (amount < 0) the strokes of a mask by that many pixels.

    An erosion that would leave less than a third of the ink is not applied, so that thin strokes do not vanish.
    """
    if amount == 0:
        return mask
    combine = np.maximum if amount > 0 else np.minimum
    result = mask
    for _ in range(abs(amount)):
        next_mask = result.copy()
        combine(next_mask[1:], result[:-1], out=next_mask[1:])
        combine(next_mask[:-1], result[1:], out=next_mask[:-1])
        combine(next_mask[:, 1:], result[:, :-1], out=next_mask[:, 1:])
        combine(next_mask[:, :-1], result[:, 1:], out=next_mask[:, :-1])
        result = next_mask
    if amount < 0 and int(result.sum()) * 3 < int(mask.sum()):
        return mask
    return result
