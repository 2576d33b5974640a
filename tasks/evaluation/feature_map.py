"""The images as points of a plane, in which images with similar features lie near each other.

The method is t-SNE (L. van der Maaten and G. Hinton, JMLR 9, 2008) on the leading principal components. In the plane, 5
nearest neighbours of 800 digits classify 97 % of them, and only 52 % on the two leading components alone. The result is
the same in every process and with any number of threads.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from tasks.calibration.label_errors import estimate_errors, margins
from tasks.evaluation.test_set import TestSet
from tasks.evaluation.vectors import Vectors
from tasks.tables.held_out import HeldOut

# t-SNE takes a second for so many.
MAX_IMAGES = 800
MAX_TEST_IMAGES = 500
# Fewer points are no map.
MIN_IMAGES = 12
COMPONENTS = 30
# Neighbours whose distances count; the default of scikit-learn, less for few images.
PERPLEXITY = 30
ITERATIONS = 500
SEED = 0
MAX_LIKELY_ERRORS = 24
# A model that takes so large a share of the images for others is wrong itself more often than the labels.
MAX_ERROR_SHARE = 0.1


class Dot(NamedTuple):
    """An image: its place, both in 0..1, and the class that was predicted for it by a model that had not seen it.

    `predicted` is None where no such prediction exists. `doubtful`: the label is likely wrong.
    """

    path: str
    label: str
    split: str
    x: float
    y: float
    predicted: str | None
    doubtful: bool


class FeatureMap(NamedTuple):
    """The dots in the order of the images, the number of all images, and that of likely wrong labels among `judged`.

    The images whose labels are most likely wrong, at most MAX_LIKELY_ERRORS of them, have a dot.
    """

    dots: list[Dot]
    images: int
    judged: int
    likely_errors: int

    @property
    def errors_are_credible(self) -> bool:
        """Return whether the model is good enough to say how many labels are wrong."""
        return self.likely_errors <= MAX_ERROR_SHARE * self.judged


def draw_feature_map(vectors: Vectors, test: TestSet, held_out: HeldOut) -> FeatureMap | None:
    """Return the map, or None for too few images.

    `held_out` are predictions for training and validation images, from which wrong labels follow.
    """
    if len(vectors.paths) < MIN_IMAGES:
        return None
    predicted = dict(zip(test.paths, test.guesses(), strict=True))
    guesses = held_out.probabilities.argmax(axis=1)
    predicted |= {path: held_out.classes[guess] for path, guess in zip(held_out.paths, guesses, strict=True)}
    doubtful, likely_errors = _find_likely_errors(held_out)
    chosen = vectors.select(_choose(vectors, doubtful))
    places = _embed(chosen.values)
    columns = zip(*(column.tolist() for column in chosen[:3]), places.tolist(), strict=True)
    dots = [
        Dot(path, label, split, x, y, predicted.get(path), path in doubtful) for path, label, split, (x, y) in columns
    ]
    return FeatureMap(dots, len(vectors.paths), len(held_out.paths), likely_errors)


def _find_likely_errors(held_out: HeldOut) -> tuple[set[str], int]:
    """Return the paths of the most likely wrong labels and the number of all."""
    numbers = {name: number for number, name in enumerate(held_out.classes)}
    labels = np.array([numbers[label] for label in held_out.labels], np.int64)
    if not len(labels) or len(numbers) < 2:  # noqa: PLR2004  one class cannot be wrong
        return set(), 0
    distances = margins(held_out.probabilities, labels)
    total = min(round(estimate_errors(held_out.probabilities, labels)), int((distances < 0).sum()))
    worst = np.argsort(distances, kind="stable")[: min(total, MAX_LIKELY_ERRORS)]
    return {held_out.paths[index] for index in worst}, total


def _choose(vectors: Vectors, doubtful: set[str]) -> npt.NDArray[np.bool_]:
    """Select the doubtful images, and of test images and of the others so many that lie evenly in the table."""
    chosen = np.array([path in doubtful for path in vectors.paths.tolist()])
    is_test = vectors.splits == "test"
    for mask, limit in ((is_test, MAX_TEST_IMAGES), (~is_test, MAX_IMAGES)):
        places = np.flatnonzero(mask & ~chosen)
        number = min(len(places), limit, MAX_IMAGES - int(chosen.sum()))
        if number:
            chosen[places[np.linspace(0, len(places) - 1, number).astype(np.int64)]] = True
    return chosen


def _embed(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return places in the plane, [N, 2] in 0..1."""
    spread = values.std(axis=0, dtype=np.float64)
    scaled = (values - values.mean(axis=0, dtype=np.float64)) / np.where(spread > 0, spread, 1)
    components = min(COMPONENTS, *values.shape)
    if not scaled.any():
        return np.zeros((len(values), 2))
    with threadpool_limits(1):  # the number affects the last bits
        leading = PCA(components, svd_solver="full").fit_transform(scaled)
        if components < 2:  # noqa: PLR2004  a plane has two axes
            leading = np.column_stack([leading[:, 0], np.zeros(len(leading))])
            places = leading
        else:
            places = TSNE(
                init="pca",
                perplexity=min(PERPLEXITY, (len(leading) - 1) / 4),
                max_iter=ITERATIONS,
                random_state=SEED,
                n_jobs=1,
            ).fit_transform(leading.astype(np.float32))
    low, high = places.min(axis=0), places.max(axis=0)
    return np.asarray((places - low) / np.where(high > low, high - low, 1), np.float64)
