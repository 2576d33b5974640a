"""Statistics of an image's pixels, from which the checks of `validation` find dark, blank or blurred pictures."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

LEVELS = 256
# Weights of red, green and blue in the brightness that people see, the root of the weighted squares: a pure blue or red
# is brighter to the eye than its luma says. Source: Darel Rex Finley, "HSP Color Model", 2006.
WEIGHTS = np.array([0.241, 0.691, 0.068], np.float32)
SQUARES = np.arange(LEVELS, dtype=np.float32)[:, None] ** 2 * WEIGHTS
SHADOWS, HIGHLIGHTS = 0.05, 0.99
# Of the longer side. On a copy as small as this, photos of all sizes have edges of similar width, and noise averages out.
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

    Numbers are sums of counted levels, so the same pixels give the same bits.
    """
    pixels = np.asarray(image)
    red, green, blue = (SQUARES[:, channel].take(pixels[..., channel]) for channel in range(3))
    brightness = np.sqrt(red + green + blue).round().astype(np.uint8)
    counts = np.bincount(brightness.ravel(), minlength=LEVELS)
    shares = counts / counts.sum()
    levels = np.arange(LEVELS) / (LEVELS - 1)
    mean = float(shares @ levels)
    cumulated = shares.cumsum()
    return Quality(
        is_grey=bool((pixels[..., :1] == pixels[..., 1:]).all()),
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
