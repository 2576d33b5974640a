"""The contact sheet: a look at the training images, each world a band of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from starter.appearance import paint
from starter.warp import SIDE

if TYPE_CHECKING:
    from starter.drawing import World

_COLUMNS = 12
_ROWS = 2
_GAP = 2
_COLOURS = 128


def contact_sheet(worlds: tuple[World, ...], seed: int) -> Image.Image:
    """Return two rows of 12 images of every world, in the order of the worlds, in a palette of 128 colours."""
    step = SIDE + _GAP
    sheet = Image.new("RGB", (_COLUMNS * step - _GAP, len(worlds) * _ROWS * step - _GAP), "white")
    for band, world in enumerate(worlds):
        rng = np.random.default_rng((seed, band))
        labels = rng.permutation(len(world.classes))
        for place in range(_COLUMNS * _ROWS):
            row, column = divmod(place, _COLUMNS)
            picture = paint(world.draw(int(labels[place % len(labels)]), rng), rng)
            sheet.paste(Image.fromarray(picture), (column * step, (band * _ROWS + row) * step))
    return sheet.quantize(_COLOURS, dither=Image.Dither.NONE)
