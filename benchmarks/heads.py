"""Graft's head against scikit-learn's LogisticRegressionCV on the same features, on every set that the project makes.

python -m benchmarks.heads
"""

import os

# Some machines set it, which makes numpy and scikit-learn slow; it counts when they are imported.
os.environ.pop("OPENBLAS_CORETYPE", None)

import time
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks import image_sets, results
from benchmarks.intervals import paired_interval
from tasks.common import params
from tasks.common.params import Head
from tasks.head.rows import Rows
from tasks.head.search.search import Search, find_head, fit_choice
from tasks.tables.features import Tap

# The design was judged on seeds below this one.
FIRST_SEED = 100
SPLITS = {"digits_5": 8, "digits_20": 8, "digits": 5, "defects": 6, "textures": 4, "glyphs": 4, "imbalanced": 8}
TAPS = ("conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu", 1.0)
COLUMNS = (
    "set", "splits", "Graft", "LogisticRegressionCV", "difference, points", "macro F1", "macro F1 of the other",
    "seconds", "seconds of the other", "ratio", "bound",
)  # fmt: skip


class Result(NamedTuple):
    """Accuracy and macro F1 on test images, and seconds to search and fit."""

    accuracy: float
    macro_f1: float
    seconds: float


class Data(NamedTuple):
    """Vectors, float32 [N, D], class numbers [N], whether a row is for testing [N], and the widths of the taps."""

    vectors: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    test: npt.NDArray[np.bool_]
    widths: tuple[int, ...]


def main() -> None:
    """Measure and renew the sections of RESULTS.md: features of four depths, and of the last layer alone."""
    head = params.load(image_sets.ROOT / "params.yaml").head
    warnings.filterwarnings("ignore")  # classes with fewer images than folds
    packages = ["scikit-learn", "numpy", "scipy"]
    for title, taps in (("four depths joined", TAPS), ("the last layer", None)):
        results.renew(f"The head: {title}", COLUMNS, list(rows(taps, head)), packages)


def rows(taps: tuple[str | float, ...] | None, head: Head) -> Iterator[tuple[str, ...]]:
    """Yield a row a set and one over all of them."""
    pairs: list[tuple[Result, Result]] = []
    for name, splits in SPLITS.items():
        own = [compare(load(name, seed, taps), head) for seed in range(FIRST_SEED, FIRST_SEED + splits)]
        yield row(name, own)
        pairs += own
    yield row("all", pairs)


def load(name: str, seed: int, taps: tuple[str | float, ...] | None) -> Data:
    """Draw a set and return its features."""
    image_set = image_sets.SETS[name](seed)
    vectors = image_sets.features(image_set, taps)
    return Data(vectors.vectors, image_set.labels, image_set.splits == "test", vectors.widths)


def compare(data: Data, head: Head) -> tuple[Result, Result]:
    """Return the results of Graft and of LogisticRegressionCV."""
    known = ~data.test
    start = time.perf_counter()
    with threadpool_limits(head.threads, user_api="blas"):
        predicted = predict_with_graft(data, head)
    ours = judge(data, predicted, time.perf_counter() - start)
    start = time.perf_counter()
    # With more threads than free cores, OpenBLAS would wait for itself: both get the same number.
    with threadpool_limits(head.threads, user_api="blas"):
        model = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=10, cv=5))
        model.fit(data.vectors[known], data.labels[known])
        predicted = model.predict(data.vectors[data.test])
    return ours, judge(data, predicted, time.perf_counter() - start)


def search_for_head(data: Data, head: Head) -> Search:
    """Compare the candidates on the rows for training and validation."""
    known = np.flatnonzero(~data.test)
    images = np.arange(len(known))
    taps = tuple(Tap(str(number), width, (number + 1) / len(data.widths)) for number, width in enumerate(data.widths))
    table = Rows(
        data.vectors[known],
        data.labels[known],
        images,
        images,
        [None] * len(known),
        images > 0,
        [str(number) for number in range(data.labels.max() + 1)],
        [str(number) for number in known],
        taps,
    )
    return find_head(table, head, choose_taps=True)


def predict_with_graft(data: Data, head: Head) -> npt.NDArray[np.int64]:
    """Search, fit the choice on training and validation rows, and return its predictions for the test rows."""
    search = search_for_head(data, head)
    candidate = search.winner.candidate
    kernels, biases = fit_choice(search, candidate, search.rows.weights[None])
    columns = search.rows.columns(candidate.taps)
    values = (data.vectors[data.test][:, columns] - search.scaling.mean[columns]) * search.scaling.factor[columns]
    return np.asarray((values @ kernels[0] + biases[0]).argmax(axis=1))


def judge(data: Data, predicted: npt.NDArray[np.int64], seconds: float) -> Result:
    """Return the result of predictions for the test rows."""
    wanted = data.labels[data.test]
    return Result(float((predicted == wanted).mean()), float(f1_score(wanted, predicted, average="macro")), seconds)


def row(name: str, pairs: list[tuple[Result, Result]]) -> tuple[str, ...]:
    """Return a row of the table."""
    ours, other = (np.array(side) for side in zip(*pairs, strict=True))
    differences = 100 * (ours[:, 0] - other[:, 0])
    mean, low, high = paired_interval(differences.tolist())
    seconds = np.median(ours[:, 2]), np.median(other[:, 2])
    return (
        name,
        str(len(pairs)),
        f"{ours[:, 0].mean():.2%}",
        f"{other[:, 0].mean():.2%}",
        f"**{mean:+.2f}** ({low:+.2f} to {high:+.2f})",
        f"{ours[:, 1].mean():.2%}",
        f"{other[:, 1].mean():.2%}",
        f"{seconds[0]:.3f}",
        f"{seconds[1]:.3f}",
        f"**{ours[:, 2].sum() / other[:, 2].sum():.2f}**",
        "0, and 0.33",
    )


if __name__ == "__main__":
    main()
