"""The appearance of an image: a mask gets colours, textures, light, blur, coarse pixels and noise at random."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from starter.textures import noise
from starter.warp import SIDE

LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
MIN_CONTRAST = 40.0
TEXTURED_BACKGROUND_CHANCE = 0.45
TEXTURED_FIGURE_CHANCE = 0.15
UNEVEN_LIGHT_CHANCE = 0.35
COARSE_CHANCE = 0.30
BLUR_CHANCE = 0.25
NOISE_CHANCE = 0.45
GREY_CHANCE = 1 / 3
AXIS = np.linspace(-1.0, 1.0, SIDE, dtype=np.float32)


def paint(mask: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Paint a mask, uint8 [SIDE, SIDE], with random colours and disturbances.

    Each disturbance has its own chance: a textured background 45 %, a textured figure 15 %, uneven light 35 %, a
    resolution of 8-32 pixels 30 %, blur 25 %, noise 45 %.

    Returns:
        An RGB image, uint8 [SIDE, SIDE, 3].
    """
    cover = _degrade(mask, rng)[..., None] * np.float32(1 / 255)
    background_colour, figure_colour = _draw_colours(rng)
    background = np.broadcast_to(background_colour, (SIDE, SIDE, 3))
    if rng.random() < TEXTURED_BACKGROUND_CHANCE:
        background = background + _draw_texture(rng)
    figure = figure_colour + _draw_texture(rng) if rng.random() < TEXTURED_FIGURE_CHANCE else figure_colour
    image = background + (figure - background) * cover
    if rng.random() < UNEVEN_LIGHT_CHANCE:
        slope = rng.uniform(-0.4, 0.4, 2).astype(np.float32)
        image = image * (1 + slope[0] * AXIS[:, None, None] + slope[1] * AXIS[None, :, None])
    if rng.random() < NOISE_CHANCE:
        image = image + rng.standard_normal((SIDE, SIDE, 3), dtype=np.float32) * np.float32(rng.uniform(2, 24))
    return np.asarray(np.clip(image + np.float32(0.5), 0, 255), dtype=np.uint8)


def _degrade(mask: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Reduce a mask to 8-32 pixels and enlarge it again, blur it, do both or neither."""
    image = Image.fromarray(mask)
    if rng.random() < COARSE_CHANCE:
        side = round(float(np.exp(rng.uniform(*np.log((8, 32))))))
        image = image.resize((side, side), Image.Resampling.BOX).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    if rng.random() < BLUR_CHANCE:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 2.2))))
    return np.asarray(image)


def _draw_colours(rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return colours of background and figure, float32 [3] each, at least 40 levels of luma apart; a third is grey."""
    while True:
        pair = rng.uniform(0, 255, (2, 3)).astype(np.float32)
        if rng.random() < GREY_CHANCE:
            pair[:] = pair[:, :1]
        if abs(float((pair[0] - pair[1]) @ LUMA_WEIGHTS)) >= MIN_CONTRAST:
            return pair[0], pair[1]


def _draw_texture(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return a faint coloured texture to add to a plain colour, float32 [SIDE, SIDE, 3]."""
    tint = rng.normal(1.0, 0.3, 3).astype(np.float32) * np.float32(rng.uniform(4, 26))
    return noise(rng.uniform(0.3, 2.0), rng)[..., None] * tint
