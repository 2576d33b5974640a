"""A comparison of two runs: the verdict with its figures, the classes, and the params that differ."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tasks.calibration.difference import Difference, accuracy_difference, macro_f1_difference, mcnemar
from tasks.common.errors import GraftError
from tasks.common.text import count, printable
from tasks.comparison.pairs import Answer, Pairs, pair
from tasks.comparison.run import Run

Verdict = Literal["better", "same", "worse"]


class ClassChange(NamedTuple):
    """A class with paired test images: their number, the images recognised before and after, and those that changed."""

    name: str
    images: int
    right_before: int
    right_after: int
    newly_right: int
    newly_wrong: int

    @property
    def change(self) -> float:
        """The newer recall minus the older one."""
        return (self.right_after - self.right_before) / self.images


class Comparison(NamedTuple):
    """The newer run `after` against `before`, on the images in `pairs`.

    `newly_right` and `newly_wrong` are rows of `pairs`; `classes` are in the order of their names; `p_value` is that of
    McNemar's exact test. `params` has a key with the older and the newer value for each param that differs, `metrics`
    likewise for each metric that both runs have. `trained_on` is the number of test images of the newer run that were
    left out because the older one was trained on them.
    """

    before: str
    after: str
    verdict: Verdict
    accuracy: Difference
    macro_f1: Difference
    p_value: float
    confidence: float
    pairs: Pairs
    newly_right: list[int]
    newly_wrong: list[int]
    classes: list[ClassChange]
    params: list[tuple[str, Any, Any]]
    metrics: list[tuple[str, float, float]]
    trained_on: int

    def headline(self) -> str:
        """Return the verdict and the difference in accuracy in one sentence, without a period."""
        low, high = points(self.accuracy.low), points(self.accuracy.high)
        return (
            f"{self.verdict}: accuracy {percent(self.accuracy.before)} to {percent(self.accuracy.after)}, "
            f"{points(self.accuracy.change)} points ({self.confidence * 100:g} % interval {low} to {high}) "
            f"on {count(len(self.pairs.paths), 'image')} that both predicted"
        )


def compare(before: Run, after: Run, answers: Mapping[str, Answer], trained_on: int = 0) -> Comparison:
    """Compare two runs on the images that both have predicted, with the labels and the confidence of the newer one.

    The verdict is `better` or `worse` only if the interval of the difference in accuracy excludes 0 and McNemar's exact
    test agrees, which is the stricter of the two where few images differ.

    Args:
        before: the older run.
        after: the newer run.
        answers: predictions of the older run, by SHA-256, for images that it did not test.
        trained_on: number of images that were left out because the older run was trained on them.

    Raises:
        GraftError: The runs have no image in common.
    """
    pairs = pair(before.predictions, after.predictions, answers)
    if not pairs.paths:
        names = f"'{printable(before.name)}' and '{printable(after.name)}'"
        message = f"{names} have no test image in common. Compare runs on the same dataset."
        raise GraftError(message)
    confidence = float(after.metrics["confidence"])
    right_before, right_after = pairs.right_before, pairs.right_after
    newly_right = (~right_before & right_after).nonzero()[0].tolist()
    newly_wrong = (right_before & ~right_after).nonzero()[0].tolist()
    accuracy = accuracy_difference(right_before, right_after, confidence)
    guesses_before, guesses_after = ([answer.predicted for answer in run] for run in (pairs.before, pairs.after))
    p_value = mcnemar(len(newly_right), len(newly_wrong))
    return Comparison(
        before.name,
        after.name,
        _judge(accuracy, p_value, confidence),
        accuracy,
        macro_f1_difference(pairs.labels, guesses_before, guesses_after, confidence),
        p_value,
        confidence,
        pairs,
        newly_right,
        newly_wrong,
        _classes(pairs),
        [
            (key, before.params.get(key), after.params.get(key))
            for key in sorted(before.params.keys() | after.params.keys())
            if before.params.get(key) != after.params.get(key)
        ],
        _metrics(before.metrics, after.metrics),
        trained_on,
    )


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def points(share: float) -> str:
    """Return a difference of shares as percentage points with their sign; a difference that rounds to 0 has none."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text


def _judge(accuracy: Difference, p_value: float, confidence: float) -> Verdict:
    if p_value >= 1 - confidence or accuracy.low <= 0 <= accuracy.high:
        return "same"
    return "better" if accuracy.low > 0 else "worse"


def _classes(pairs: Pairs) -> list[ClassChange]:
    counts: Counter[tuple[str, bool, bool]] = Counter(
        zip(pairs.labels, pairs.right_before.tolist(), pairs.right_after.tolist(), strict=True)
    )
    changes = []
    for name in sorted(set(pairs.labels)):
        both, neither = counts[name, True, True], counts[name, False, False]
        newly_right, newly_wrong = counts[name, False, True], counts[name, True, False]
        images = both + neither + newly_right + newly_wrong
        changes.append(ClassChange(name, images, both + newly_wrong, both + newly_right, newly_right, newly_wrong))
    return changes


def _metrics(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return the metrics that both runs have, without the ends of intervals."""
    return [
        (key, before[key], after[key])
        for key in after
        if isinstance(after[key], int | float) and isinstance(before.get(key), int | float) and not _is_bound(key)
    ]


def _is_bound(key: str) -> bool:
    return key.endswith(("_low", "_high")) or key == "confidence"
