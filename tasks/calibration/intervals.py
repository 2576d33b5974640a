"""The interval of a share: so many images of so many."""

from math import sqrt
from statistics import NormalDist


def wilson_interval(hits: int, images: int, confidence: float) -> tuple[float, float]:
    """Return E. B. Wilson's score interval of the share `hits / images` (JASA 22, 1927).

    It keeps its coverage near 0 and 1. `images` is at least 1 and `confidence` lies in 0..1, both without the ends.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = hits / images, z * z / images
    middle = (share + spread / 2) / (1 + spread)
    half = sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    # Rounding must not move an end beyond the share, which it may touch at 0 and 1.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
