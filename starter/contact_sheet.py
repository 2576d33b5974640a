"""A contact sheet: samples of the training images, a band of rows for each generator."""

import numpy as np
from PIL import Image

from starter.appearance import paint
from starter.drawing import ClassGenerator
from starter.warp import SIDE

COLUMNS = 12
ROWS = 2
GAP = 2
COLOURS = 128


def contact_sheet(generators: tuple[ClassGenerator, ...], seed: int) -> Image.Image:
    """Return two rows of 12 images of every generator, in the order of the generators, in a palette of 128 colours."""
    step = SIDE + GAP
    sheet = Image.new("RGB", (COLUMNS * step - GAP, len(generators) * ROWS * step - GAP), "white")
    for band, generator in enumerate(generators):
        rng = np.random.default_rng((seed, band))
        class_indexes = rng.permutation(len(generator.classes))
        for position in range(COLUMNS * ROWS):
            row, column = divmod(position, COLUMNS)
            image = paint(generator.draw(int(class_indexes[position % len(class_indexes)]), rng), rng)
            sheet.paste(Image.fromarray(image), (column * step, (band * ROWS + row) * step))
    return sheet.quantize(COLOURS, dither=Image.Dither.NONE)
