"""Appearance: a mask becomes a colour picture, with a ground, light, blur, coarse pixels and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from starter.textures import noise
from starter.warp import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_LEAST_CONTRAST = 40.0
_TEXTURED_GROUND = 0.45
_TEXTURED_FIGURE = 0.15
_UNEVEN_LIGHT = 0.35
_COARSE = 0.30
_BLURRED = 0.25
_NOISY = 0.45
_GREY = 1 / 3
_AXIS = np.linspace(-1.0, 1.0, SIDE, dtype=np.float32)


def paint(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a picture of a mask, uint8 [SIDE, SIDE, 3] in RGB; the mask is uint8 [SIDE, SIDE].

    Of the pictures, 45 % have a textured ground, 15 % a textured figure, 35 % uneven light, 30 % are drawn at 8-32
    pixels first, 25 % are blurred and 45 % are noisy; each chance is independent.
    """
    cover = _degraded(mask, rng)[..., None] * np.float32(1 / 255)
    ground, figure = _colours(rng)
    base = np.broadcast_to(ground, (SIDE, SIDE, 3))
    if rng.random() < _TEXTURED_GROUND:
        base = base + _surface(rng)
    ink = figure + _surface(rng) if rng.random() < _TEXTURED_FIGURE else figure
    picture = base + (ink - base) * cover
    if rng.random() < _UNEVEN_LIGHT:
        slope = rng.uniform(-0.4, 0.4, 2).astype(np.float32)
        picture = picture * (1 + slope[0] * _AXIS[:, None, None] + slope[1] * _AXIS[None, :, None])
    if rng.random() < _NOISY:
        picture = picture + rng.standard_normal((SIDE, SIDE, 3), dtype=np.float32) * np.float32(rng.uniform(2, 24))
    return np.clip(picture + np.float32(0.5), 0, 255).astype(np.uint8)


def _degraded(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur a mask, or draw it on few pixels and enlarge it, as small originals are."""
    image = Image.fromarray(mask)
    if rng.random() < _COARSE:
        side = round(float(np.exp(rng.uniform(*np.log((8, 32))))))
        image = image.resize((side, side), Image.Resampling.BOX).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    if rng.random() < _BLURRED:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 2.2))))
    return np.asarray(image)


def _colours(rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the colours of ground and figure, float32 [3] each, far enough apart in luma; a third are greys."""
    while True:
        pair = rng.uniform(0, 255, (2, 3)).astype(np.float32)
        if rng.random() < _GREY:
            pair[:] = pair[:, :1]
        if abs(float((pair[0] - pair[1]) @ _LUMA)) >= _LEAST_CONTRAST:
            return pair[0], pair[1]


def _surface(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a faint coloured texture to add to a plain colour, float32 [SIDE, SIDE, 3]."""
    tint = rng.normal(1.0, 0.3, 3).astype(np.float32) * np.float32(rng.uniform(4, 26))
    return noise(rng.uniform(0.3, 2.0), rng)[..., None] * tint
