"""The images to review, by finding, the worst first."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.calibration.label_errors import estimate_errors, likely_labels, margins
from tasks.review.dataset import Dataset
from tasks.review.ranking.duplicates import find_duplicates
from tasks.review.ranking.neighbours import Indices, Neighbours
from tasks.review.ranking.outliers import THRESHOLD, score_outliers
from tasks.review.ranking.probabilities import Probabilities, count_votes, predict_held_out
from tasks.review.ranking.vectors import training_vectors
from tasks.review.table import FindingKind, Suspect
from tasks.tables.corrections import Action, Correction

# Odd images and near-duplicates supplement wrong labels, so at most this share of the limit is listed of each.
OTHER_FINDINGS_SHARE = 0.25


class Review(NamedTuple):
    """The suspects with their row numbers in the dataset, and the estimated number of wrong labels in all of it."""

    suspects: list[Suspect]
    rows: list[int]
    wrong_labels: float


def estimate_probabilities(dataset: Dataset, neighbours: Neighbours) -> Probabilities:
    """Return the mean of a linear model's probabilities and of the neighbours' votes, float64 [N, classes].

    The two err on different images: the model where a class has several clusters, the votes near borders.
    """
    count = len(dataset.classes)
    held_out = predict_held_out(training_vectors(dataset.units), dataset.labels, dataset.groups, count)
    return (held_out + count_votes(neighbours.rows, dataset.labels, count)) / 2


def review_dataset(
    dataset: Dataset, neighbours: Neighbours, corrections: Mapping[str, Correction], limit: int
) -> Review:
    """Return at most `limit` likely wrong labels, and a quarter as many near-duplicates and odd images each.

    An image is in the list once, under its first finding, and not at all if `corrections`, by SHA-256, already has a
    decision about it: a kept label that the image no longer has is open again.
    """
    probabilities = estimate_probabilities(dataset, neighbours)
    open_rows = np.array([_is_open(dataset, row, corrections) for row in range(len(dataset.paths))], np.bool_)
    judged = _classes_in_two_groups(dataset)[dataset.labels]
    others = round(limit * OTHER_FINDINGS_SHARE)
    suspects: dict[int, Suspect] = {}
    for count, suspicions in (
        (limit, _wrong_labels(dataset, neighbours, probabilities, judged)),
        (others, _duplicates(dataset, neighbours, probabilities)),
        (others, _outliers(dataset, neighbours, probabilities)),
    ):
        listed = 0
        for row, suspect in suspicions:
            if listed == count:
                break
            if open_rows[row] and row not in suspects:
                suspects[row] = suspect
                listed += 1
    wrong_labels = estimate_errors(probabilities[judged], dataset.labels[judged])
    return Review(list(suspects.values()), list(suspects), wrong_labels)


def _wrong_labels(
    dataset: Dataset, neighbours: Neighbours, probabilities: Probabilities, judged: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, Suspect]]:
    scores = margins(probabilities, dataset.labels)
    likely = likely_labels(probabilities, dataset.labels)
    for row in np.argsort(scores, kind="stable").tolist():
        if scores[row] >= 0:
            break
        if judged[row]:
            name = dataset.classes[likely[row]]
            score = (1 - scores[row]) / 2
            yield row, _suspect(dataset, neighbours, probabilities, row, FindingKind.WRONG_LABEL, score, name)


def _duplicates(
    dataset: Dataset, neighbours: Neighbours, probabilities: Probabilities
) -> Iterator[tuple[int, Suspect]]:
    for pair in find_duplicates(neighbours, dataset.labels, dataset.splits):
        rows = (pair.first, pair.second)
        # The one whose label is less probable; within a label, a training image rather than one that measures.
        row = min(
            rows,
            key=lambda row: (
                probabilities[row, dataset.labels[row]] if _differ(dataset.labels, rows) else 0,
                dataset.splits[row] != "train",
                row,
            ),
        )
        other = rows[0] + rows[1] - row
        likely = dataset.classes[dataset.labels[other]] if _differ(dataset.labels, rows) else ""
        suspect = _suspect(dataset, neighbours, probabilities, row, FindingKind.DUPLICATE, 1 - pair.distance, likely)
        yield row, suspect._replace(nearest=dataset.paths[other])


def _outliers(dataset: Dataset, neighbours: Neighbours, probabilities: Probabilities) -> Iterator[tuple[int, Suspect]]:
    scores = score_outliers(neighbours.distances, dataset.labels)
    for row in np.argsort(-scores, kind="stable").tolist():
        if scores[row] <= THRESHOLD:
            break
        yield row, _suspect(dataset, neighbours, probabilities, row, FindingKind.OUTLIER, scores[row], "")


def _suspect(
    dataset: Dataset,
    neighbours: Neighbours,
    probabilities: Probabilities,
    row: int,
    finding: FindingKind,
    score: float,
    likely: str,
) -> Suspect:
    label = int(dataset.labels[row])
    nearest = int(neighbours.rows[row, 0])
    return Suspect(
        dataset.paths[row],
        dataset.classes[label],
        likely,
        float(probabilities[row, label]),
        float(score),
        finding,
        dataset.digests[row],
        dataset.paths[nearest] if nearest >= 0 else "",
    )


def _is_open(dataset: Dataset, row: int, corrections: Mapping[str, Correction]) -> bool:
    correction = corrections.get(dataset.digests[row])
    if correction is None:
        return True
    return correction.action == Action.KEEP and correction.label != dataset.classes[dataset.labels[row]]


def _classes_in_two_groups(dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Return whether the images of a class are in several groups, bool [classes]: no model knows one that is held out.

    Images of other classes cannot be judged.
    """
    pairs = np.unique(np.stack([dataset.labels, dataset.groups], axis=1), axis=0)
    return np.asarray(np.bincount(pairs[:, 0], minlength=len(dataset.classes)) > 1)


def _differ(labels: Indices, rows: tuple[int, int]) -> bool:
    return bool(labels[rows[0]] != labels[rows[1]])
