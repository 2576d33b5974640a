"""Two classifiers without a pretrained network, measured on the same test images: its gain over them is a figure."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tasks.calibration.difference import Difference, accuracy_difference
from tasks.common.errors import ImageError
from tasks.common.threads import available_cores, ordered_map
from tasks.evaluation.metrics import overall_metrics
from tasks.evaluation.test_set import TestSet
from tasks.images.decoding import decode
from tasks.tables.accepted import Accepted

Vectors = npt.NDArray[np.float32]

SIDE = 16
# So many training images, those with the smallest hashes, since each must be decoded.
MAX_TRAINING_IMAGES = 5000
# Few enough for 200 classes; the accuracy hardly changes after that.
MAX_ITERATIONS = 60


class Baseline(NamedTuple):
    """A simple classifier on `images` test images: its macro F1, and the difference in accuracy to the exported file.

    `name` is majority or pixels, and `detail` the class or the number of training images.
    """

    name: str
    detail: str
    images: int
    accuracy: Difference
    macro_f1: float

    def metrics(self) -> dict[str, Any]:
        """Return the figures under keys of metrics.json."""
        return {
            f"{self.name}_accuracy": self.accuracy.before,
            f"{self.name}_macro_f1": self.macro_f1,
            f"{self.name}_gain": self.accuracy.change,
            f"{self.name}_gain_low": self.accuracy.low,
            f"{self.name}_gain_high": self.accuracy.high,
        }


def measure_baselines(images: Path, rows: Sequence[Accepted], test: TestSet) -> list[Baseline]:
    """Return the most frequent class of the training images, and logistic regression on small pixels.

    Args:
        images: the folder of the images.
        rows: of all splits; without training images the result is empty.
        test: the test images with the predictions of the exported file.

    The second baseline leaves out test images that can no longer be read, and is left out if the training images that
    can be read have one class alone.
    """
    training = [row for row in rows if row.split == "train"]
    if not training:
        return []
    counts = Counter(row.label for row in training)
    frequent = min(counts, key=lambda label: (-counts[label], label))
    baselines = [_compare("majority", frequent, test, list(range(len(test.paths))), [frequent] * len(test.paths))]
    chosen = sorted(training, key=lambda row: (row.sha256, row.path))[:MAX_TRAINING_IMAGES]
    places, training_vectors = _read(images, [row.path for row in chosen])
    labels = [chosen[place].label for place in places]
    tested, test_vectors = _read(images, test.paths)
    if len(set(labels)) > 1 and tested:
        guesses = _fit(training_vectors, labels).predict(test_vectors).tolist()
        baselines.append(_compare("pixels", f"{len(labels)}", test, tested, guesses))
    return baselines


def _compare(name: str, detail: str, test: TestSet, places: Sequence[int], guesses: Sequence[str]) -> Baseline:
    chosen = list(places)
    numbers = {label: number for number, label in enumerate(test.classes)}
    own = test._replace(
        paths=[test.paths[place] for place in chosen],
        actual=test.actual[chosen],
        predicted=np.array([numbers[guess] for guess in guesses], np.int64),
    )
    accuracy = accuracy_difference(own.right, test.right[chosen], test.confidence)
    return Baseline(name, detail, len(places), accuracy, overall_metrics(own)["macro_f1"])


def _fit(vectors: Vectors, labels: Sequence[str]) -> LogisticRegression:
    model = LogisticRegression(max_iter=MAX_ITERATIONS)
    # The number of threads affects the last bits of the sums, and with them perhaps a prediction.
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return model.fit(vectors, labels)


def _read(root: Path, paths: Sequence[str]) -> tuple[list[int], Vectors]:
    """Return the places of the images that can be read, and their pixels, float32 [images, 3 * SIDE²] in -0.5..0.5."""
    workers = available_cores()
    rows = list(ordered_map(lambda path: _read_small(root / path), paths, workers, 2 * workers))
    pixels = [row for row in rows if row is not None]
    places = [place for place, row in enumerate(rows) if row is not None]
    vectors = np.array(pixels, np.float32).reshape(len(pixels), 3 * SIDE * SIDE)
    return places, vectors / np.float32(255) - np.float32(0.5)


def _read_small(file: Path) -> npt.NDArray[np.uint8] | None:
    if not file.is_file():  # opening a pipe would wait for its writer
        return None
    try:
        image = Image.fromarray(decode(file.read_bytes(), min_side=SIDE).pixels)
    except (OSError, ImageError):
        return None
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2))
