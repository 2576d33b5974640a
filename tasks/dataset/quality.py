"""Statistics of an image's pixels, from which the checks of `validation` find dark, blank or blurred pictures."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

LEVELS = 256
# Weights of red, green and blue in the brightness that people see, the root of the weighted squares: a pure blue or red
# is brighter to the eye than its luma says. Source: Darel Rex Finley, "HSP Color Model", 2006.
WEIGHTS = np.array([0.241, 0.691, 0.068], np.float32)
SHADOWS, HIGHLIGHTS = 0.05, 0.99
# Pixels of the longer side. On so small a copy, photos of all sizes have edges of similar width, and grain vanishes.
SHARPNESS_SIDE = 64


class Quality(NamedTuple):
    """Statistics of an image, under the names of the manifest's columns, which `tables.manifest.Row` describes."""

    is_grey: bool
    brightness: float
    shadows: float
    highlights: float
    contrast: float
    entropy: float
    sharpness: float


def measure_quality(image: Image.Image) -> Quality:
    """Return the statistics of an RGB image; one of a few hundred pixels a side suffices.

    Brightness is rounded to 256 levels, and the numbers come from their counts: the same pixels give the same bits.
    """
    pixels = np.asarray(image)
    brightness = np.sqrt(np.square(pixels, dtype=np.float32) @ WEIGHTS).round().astype(np.uint8)
    counts = np.bincount(brightness.ravel(), minlength=LEVELS)
    shares = counts / counts.sum()
    levels = np.arange(LEVELS) / (LEVELS - 1)
    mean = float(shares @ levels)
    cumulated = shares.cumsum()
    return Quality(
        is_grey=all(np.array_equal(pixels[..., 0], pixels[..., channel]) for channel in (1, 2)),
        brightness=_as_float32(mean),
        shadows=_as_float32(levels[np.searchsorted(cumulated, SHADOWS)]),
        highlights=_as_float32(levels[np.searchsorted(cumulated, HIGHLIGHTS)]),
        contrast=_as_float32(float(np.sqrt(shares @ (levels - mean) ** 2))),
        entropy=_as_float32(_entropy(np.array(image.histogram()).reshape(3, LEVELS) / brightness.size)),
        sharpness=_as_float32(_sharpness(image)),
    )


def _entropy(shares: npt.NDArray[np.float64]) -> float:
    """Return the entropy in bits of the histogram of a channel, on average over the channels."""
    logarithms = np.log2(shares, where=shares > 0, out=np.zeros_like(shares))
    return float(-(shares * logarithms).sum(axis=1).mean()) + 0.0


def _sharpness(image: Image.Image) -> float:
    """Return the standard deviation of the edges of a small copy, as a share of the full range of grey."""
    small = image.convert("L")
    small.thumbnail((SHARPNESS_SIDE, SHARPNESS_SIDE), Image.Resampling.BICUBIC)
    # Pillow copies the pixels at the border unfiltered.
    edges = np.asarray(small.filter(ImageFilter.FIND_EDGES))[1:-1, 1:-1]
    return float(edges.std()) / (LEVELS - 1) if edges.size else 0.0


def _as_float32(value: float) -> float:
    """Return the value as the manifest keeps it."""
    return float(np.float32(round(value, 6)))
