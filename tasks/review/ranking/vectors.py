"""Feature vectors made comparable: of length 1 for distances; centred and narrow for training."""

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import TruncatedSVD

WIDTH = 256
LENGTH_FLOOR = 1e-12

Vectors = npt.NDArray[np.float32]


def unit_vectors(vectors: Vectors) -> Vectors:
    """Return the vectors, float32 [N, D], divided by their lengths; a zero vector stays zero."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), LENGTH_FLOOR), np.float32)


def training_vectors(units: Vectors) -> Vectors:
    """Return the vectors, float32 [N, D], centred, of length 1 again, and at most WIDTH wide.

    Features after a ReLU share a large positive part. Without it, the same strength of regularisation suits any
    network. Wide vectors are projected onto the directions with most of their length, by the randomised SVD of Halko,
    Martinsson and Tropp, SIAM Review 53, 2011, with a fixed seed.
    """
    centred = unit_vectors(units - units.mean(axis=0, dtype=np.float64).astype(np.float32))
    if min(units.shape) <= WIDTH:
        return centred
    return np.asarray(TruncatedSVD(WIDTH, random_state=0).fit_transform(centred), np.float32)
