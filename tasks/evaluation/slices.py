"""The accuracy on kinds of images, and whether a kind is worse by more than chance.

The difference between a slice and all other images has an interval by R. G. Newcombe's method 10 (Statistics in
Medicine 17, 1998), and a p-value by Fisher's exact test. Of many slices some look bad by chance, so the p-values are
corrected by the procedure of S. Holm (Scandinavian Journal of Statistics 6, 1979): whatever the slices have in common,
a slice is called worse or better by mistake in at most a share 1 - confidence of all datasets. This is stricter than
Benjamini and Hochberg's procedure, whose bound on the share of false calls needs tests that depend in a certain way:
quartiles exclude each other, and a camera may stand for a site.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import fisher_exact

from tasks.calibration.intervals import wilson_interval
from tasks.evaluation.attributes import Division, Group, Mask
from tasks.evaluation.test_set import TestSet

# A slice of fewer images says nothing, and neither do so few other images to compare it with.
MIN_IMAGES = 10


class Slice(NamedTuple):
    """A slice and all other images: shares in 0..1 with their intervals, and p-values.

    `origin` is `image`, or `table` for a column of the user's table. `difference` is the accuracy minus that of the
    others. `verdict` is worse or better where the corrected p-value says so, and unclear elsewhere.
    """

    attribute: str
    value: str
    origin: str
    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    others: int
    others_accuracy: float
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    p_corrected: float
    verdict: Literal["worse", "better", "unclear"]


class Slices(NamedTuple):
    """The slices, the most clearly worse first.

    `small` is the number of slices that were not compared, because they or the others have fewer than MIN_IMAGES
    images, and `rare` that of the values that are no slice. `uniform` are the attributes with one value in all images,
    each with this value.
    """

    rows: list[Slice]
    small: int
    rare: int
    uniform: list[tuple[str, str]]
    confidence: float


def measure_slices(right: Mask, division: Division, confidence: float) -> Slices:
    """Compare each group of images with all others; `right`, bool [N], says which predictions are right."""
    groups, uniform, small = [], [], 0
    for group in division.groups:
        images = int(group.mask.sum())
        if images == len(right):
            uniform.append((group.attribute, group.value))
        elif min(images, len(right) - images) >= MIN_IMAGES:
            groups.append(group)
        elif images:
            small += 1
    p_values = [_test(right, group.mask) for group in groups]
    corrected = _correct([_split_of(group.mask) for group in groups], p_values)
    rows = [
        _measure(right, group, confidence, p_value, p_corrected)
        for group, p_value, p_corrected in zip(groups, p_values, corrected, strict=True)
    ]
    rows.sort(key=lambda row: (row.verdict != "worse", row.difference_high, row.attribute, row.value))
    return Slices(rows, small, division.rare, uniform, confidence)


def find_weak_classes(test: TestSet) -> list[Slice]:
    """Return the classes whose images are recognised less often than the others by more than chance."""
    names = np.array(test.labels())
    groups = [Group("class", name, "image", names == name) for name in test.classes]
    rows = measure_slices(test.right, Division(groups, 0), test.confidence).rows
    return [row for row in rows if row.verdict == "worse"]


def _measure(right: Mask, group: Group, confidence: float, p_value: float, p_corrected: float) -> Slice:
    inside, outside = right[group.mask], right[~group.mask]
    accuracy, others_accuracy = float(inside.mean()), float(outside.mean())
    low, high = wilson_interval(int(inside.sum()), len(inside), confidence)
    others_low, others_high = wilson_interval(int(outside.sum()), len(outside), confidence)
    difference = accuracy - others_accuracy
    verdict: Literal["worse", "better", "unclear"] = "unclear"
    if p_corrected <= 1 - confidence:
        verdict = "worse" if difference < 0 else "better"
    return Slice(
        group.attribute,
        group.value,
        group.origin,
        len(inside),
        accuracy,
        low,
        high,
        len(outside),
        others_accuracy,
        difference,
        difference - sqrt((accuracy - low) ** 2 + (others_high - others_accuracy) ** 2),
        difference + sqrt((high - accuracy) ** 2 + (others_accuracy - others_low) ** 2),
        p_value,
        p_corrected,
        verdict,
    )


def _test(right: Mask, mask: Mask) -> float:
    inside, outside = right[mask], right[~mask]
    counts = [[part.sum(), len(part) - part.sum()] for part in (inside, outside)]
    return float(fisher_exact(counts).pvalue)


def _split_of(mask: Mask) -> bytes:
    """Return what two slices have in common that divide the images in the same way: equal ones and complements."""
    return bytes((mask == mask[0]).tobytes())


def _correct(splits: Sequence[bytes], p_values: Sequence[float]) -> list[float]:
    """Return the p-values after Holm's correction; slices of the same split are one test."""
    tests = dict(zip(splits, p_values, strict=True))
    order = sorted(tests, key=lambda split: tests[split])
    factors = np.arange(len(order), 0, -1)
    adjusted = np.minimum(1, np.maximum.accumulate([tests[split] for split in order] * factors))
    by_split = dict(zip(order, adjusted.tolist(), strict=True))
    return [by_split[split] for split in splits]
