"""The test images that both runs have predicted, matched by the SHA-256 of their files."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.tables.predictions import Predictions

Mask = npt.NDArray[np.bool_]


class Answer(NamedTuple):
    """The class that a run gave an image, and its probability, 0..1."""

    predicted: str
    probability: float


class Pairs(NamedTuple):
    """N images that both runs have predicted, in the order of the newer run, which gives paths and labels too.

    `only_before` and `only_after` are the numbers of test images of one run alone, and `relabelled` is the number of
    pairs whose label differs between the runs.
    """

    paths: list[str]
    digests: list[str]
    labels: list[str]
    before: list[Answer]
    after: list[Answer]
    only_before: int
    only_after: int
    relabelled: int

    @property
    def right_before(self) -> Mask:
        """Whether the older run was right, bool [N]."""
        return self._right(self.before)

    @property
    def right_after(self) -> Mask:
        """Whether the newer run was right, bool [N]."""
        return self._right(self.after)

    def _right(self, answers: list[Answer]) -> Mask:
        return np.array([answer.predicted == label for answer, label in zip(answers, self.labels, strict=True)], bool)


def pair(before: Predictions, after: Predictions, answers: Mapping[str, Answer]) -> Pairs:
    """Match the images of two runs.

    `answers` are further predictions of the older run by the SHA-256 of the image, for images that it did not test.
    """
    labels_before = dict(zip(before.digests, before.labels, strict=True))
    older = _answers(before)
    known = {**answers, **older}
    newer = _answers(after)
    rows = [row for row, digest in enumerate(after.digests) if digest in known]
    digests = [after.digests[row] for row in rows]
    labels = [after.labels[row] for row in rows]
    return Pairs(
        [after.paths[row] for row in rows],
        digests,
        labels,
        [known[digest] for digest in digests],
        [newer[digest] for digest in digests],
        only_before=len(older.keys() - newer.keys()),
        only_after=len(after.digests) - len(rows),
        relabelled=sum(
            labels_before.get(digest, label) != label for digest, label in zip(digests, labels, strict=True)
        ),
    )


def _answers(table: Predictions) -> dict[str, Answer]:
    probabilities = table.probabilities.max(axis=1).tolist() if table.digests else []
    return {
        digest: Answer(predicted, probability)
        for digest, predicted, probability in zip(table.digests, table.predicted, probabilities, strict=True)
    }
