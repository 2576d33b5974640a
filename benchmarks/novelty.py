"""The novelty score: how well `known` tells foreign pictures from new ones of the same kind.

    python -m benchmarks.novelty

A model of one set (digits, letters or textures) sees the test images of its own set and those of the others. The
baseline is the largest probability of Graft's head, with a threshold from the same validation images. The starter
network has seen none of the sets.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from benchmarks import image_sets, results
from benchmarks.heads import FIRST_SEED, TAPS, Data, load, search_for_head
from tasks.calibration.temperature import probabilities
from tasks.common import params
from tasks.common.params import Head
from tasks.head.search.search import fit_choice
from tasks.novelty.score import THRESHOLD, Novelty, fit_novelty

PAIRS = (("digits", "glyphs"), ("digits", "textures"), ("glyphs", "digits"), ("textures", "digits"))
SEEDS = range(FIRST_SEED, FIRST_SEED + 3)
RATE = 0.05
COLUMNS = (
    "model of", "foreign pictures", "AUROC of `known`", "AUROC of the largest probability", "called unknown at 5 %",
    "by the largest probability", "false alarms", "by the largest probability",
)  # fmt: skip


class Scores(NamedTuple):
    """Scores that are high for pictures like the training images: of validation, own test and foreign pictures."""

    validation: npt.NDArray[np.floating]
    own: npt.NDArray[np.floating]
    foreign: npt.NDArray[np.floating]

    def figures(self, threshold: float | None = None) -> tuple[float, float, float]:
        """Return AUROC, the share of foreign pictures below the threshold, and that of own ones.

        Without a threshold, it is the quantile of split conformal prediction.
        """
        if threshold is None:
            rank = int(np.floor((len(self.validation) + 1) * RATE))
            threshold = float(np.sort(self.validation)[max(rank - 1, 0)])
        is_own = np.repeat([1, 0], [len(self.own), len(self.foreign)])
        area = float(roc_auc_score(is_own, np.concatenate([self.own, self.foreign])))
        return area, float((self.foreign < threshold).mean()), float((self.own < threshold).mean())


def main() -> None:
    """Measure, and renew the section of RESULTS.md."""
    head = params.load(image_sets.ROOT / "params.yaml").head
    results.renew("The novelty score", COLUMNS, list(rows(head)), ["scikit-learn", "numpy", "scipy"])


def rows(head: Head) -> Iterator[tuple[str, ...]]:
    """Yield a row for each pair of sets, and their means."""
    means = []
    for own, foreign in PAIRS:
        figures = np.array([compare(own, foreign, seed, head) for seed in SEEDS])
        means.append(figures.mean(axis=0))
        yield row(own, foreign, means[-1])
    yield row("mean", "", np.mean(means, axis=0))


def row(own: str, foreign: str, figures: npt.NDArray[np.floating]) -> tuple[str, ...]:
    """Return a row of the table."""
    area, caught, alarms, other_area, other_caught, other_alarms = figures
    return (
        own,
        foreign,
        f"**{area:.3f}**",
        f"{other_area:.3f}",
        f"**{caught:.1%}**",
        f"{other_caught:.1%}",
        f"{alarms:.1%}",
        f"{other_alarms:.1%}",
    )


def compare(own: str, foreign: str, seed: int, head: Head) -> list[float]:
    """Return the figures of `known` and of the largest probability for a model of one set and a foreign one."""
    data, other = load(own, seed, TAPS), load(foreign, seed, TAPS)
    splits = image_sets.SETS[own](seed).splits
    validation, test, strangers = splits == "val", data.test, other.vectors[other.test]
    search = search_for_head(data, head)
    candidate = search.winner.candidate
    training = np.where(splits[~test] == "train", search.rows.weights, 0)
    kernels, biases = fit_choice(search, candidate, training[None])
    columns = search.rows.columns(candidate.taps)

    def largest(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        values = (vectors[:, columns] - search.scaling.mean[columns]) * search.scaling.factor[columns]
        predicted = probabilities((values @ kernels[0] + biases[0]) / search.winner.temperature)
        return np.asarray(predicted.max(axis=1))

    widths = [data.widths[tap] for tap in candidate.taps]
    novelty = fit(data, splits == "train", validation, columns, widths)

    def known(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        return novelty.known(vectors[:, columns])

    groups = data.vectors[validation], data.vectors[test], strangers
    return [
        *Scores(*map(known, groups)).figures(THRESHOLD),
        *Scores(*map(largest, groups)).figures(),
    ]


def fit(
    data: Data,
    training: npt.NDArray[np.bool_],
    validation: npt.NDArray[np.bool_],
    columns: npt.NDArray[np.int64],
    widths: list[int],
) -> Novelty:
    """Return the score, fitted to rows for training with a threshold from rows for validation."""
    novelty = fit_novelty(
        data.vectors[training][:, columns], data.labels[training], data.vectors[validation][:, columns], widths, RATE
    )
    if not isinstance(novelty, Novelty):
        raise TypeError(novelty.reason)
    return novelty


if __name__ == "__main__":
    main()
