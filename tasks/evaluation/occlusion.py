"""Which part of an image a prediction depends on: how much its probability drops when that part is hidden.

M. D. Zeiler and R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014. It needs nothing of a
network but its outputs, so that it explains every exported file.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.common.threads import available_cores, ordered_map
from tasks.images.decoding import Pixels

Floats = npt.NDArray[np.float32]

# Positions of the patch in each direction, and its side as a share of the image's: neighbouring patches overlap.
GRID = 6
PATCH = 1 / 3
BATCH_SIZE = 4
# The image itself is one of the passes.
PASSES_PER_IMAGE = GRID * GRID + 1
# A ResNet50 of 224 pixels does so many in 18 seconds on two cores.
MAX_PASSES = 450
MAX_IMAGES = MAX_PASSES // PASSES_PER_IMAGE


class Explanation(NamedTuple):
    """The input of a network, uint8 [S, S, 3], and the drop of a probability for each place of the patch.

    `drops` is float32 [GRID, GRID]; patches that raise the probability have negative drops.
    """

    pixels: Pixels
    drops: Floats


def explain(images: Sequence[Pixels], classes: Sequence[int], predict: Callable[[Pixels], Floats]) -> list[Explanation]:
    """Return what counts in each image, uint8 [S, S, 3], for the class of that number.

    `predict` turns images into the probabilities of all classes, float32 [n, C]; it is called from all cores.
    """
    workers = available_cores()
    work = list(zip(images, classes, strict=True))
    return list(ordered_map(lambda item: _explain(*item, predict), work, workers, 2 * workers))


def _explain(image: Pixels, number: int, predict: Callable[[Pixels], Floats]) -> Explanation:
    hidden = hide_parts(image)
    batches = (hidden[start : start + BATCH_SIZE] for start in range(0, len(hidden), BATCH_SIZE))
    probabilities = np.concatenate([predict(batch)[:, number] for batch in batches])
    drops = predict(image[None])[0, number] - probabilities
    return Explanation(image, drops.reshape(GRID, GRID).astype(np.float32))


def hide_parts(image: Pixels) -> Pixels:
    """Return copies of an image, uint8 [S, S, 3], under a patch of its mean colour, uint8 [GRID * GRID, S, S, 3].

    The patch moves from left to right, then from top to bottom.
    """
    size = len(image)
    side = max(1, round(PATCH * size))
    starts = np.linspace(0, size - side, GRID).round().astype(int).tolist()
    copies = np.repeat(image[None], GRID * GRID, axis=0)
    colour = image.mean(axis=(0, 1)).round().astype(np.uint8)
    for number, copy in enumerate(copies):
        top, left = starts[number // GRID], starts[number % GRID]
        copy[top : top + side, left : left + side] = colour
    return copies


def spread(drops: Floats, size: int) -> Floats:
    """Return drops for each pixel of an image of `size` x `size`, between the centres of the patches in proportion.

    At the borders, beyond the outer centres, they stay the same.
    """
    centres = np.linspace(PATCH / 2, 1 - PATCH / 2, GRID) * size
    pixels = np.arange(size) + 0.5
    weights = np.stack([np.interp(pixels, centres, row) for row in np.eye(GRID)], axis=1)
    return np.asarray(weights @ drops @ weights.T, np.float32)
