"""Feature vectors made comparable: centred, of length 1, and narrow enough for training."""

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import TruncatedSVD

WIDTH = 256
LENGTH_FLOOR = 1e-12

Vectors = npt.NDArray[np.float32]


def unit_vectors(vectors: Vectors) -> Vectors:
    """Return the vectors, float32 [N, D], minus their mean and divided by their length; a zero vector stays zero.

    Features after a ReLU share a large positive part, which hides the differences between images; without the mean,
    cosines spread over -1..1.
    """
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), LENGTH_FLOOR)
    return np.asarray(centred, np.float32)


def narrow(units: Vectors) -> Vectors:
    """Return projections, float32 [N, at most WIDTH], onto the directions with most variance, so training is fast.

    Randomised SVD of Halko, Martinsson and Tropp, SIAM Review 53, 2011, with a fixed seed.
    """
    if min(units.shape) <= WIDTH:
        return units
    return np.asarray(TruncatedSVD(WIDTH, random_state=0).fit_transform(units), np.float32)
