"""The part of the page about kinds of images: those that the model recognises clearly less often, then all of them."""

from collections.abc import Sequence
from typing import NamedTuple

from tasks.common.text import count
from tasks.evaluation.slices import MIN_IMAGES, Slice, Slices

# With fewer test images, a slice must be far worse to be told from chance.
FEW_IMAGES = 200
MAX_SENTENCES = 6
VISIBLE_ROWS = 12
MAX_ROWS = 200


class Row(NamedTuple):
    """A slice with the ends of its bar, in percent of the width of the scale: `left`, `width` and `mark`."""

    slice: Slice
    left: float
    width: float
    mark: float


class SlicesPart(NamedTuple):
    """The part: the slices that are clearly worse, all slices, of which `visible` are not folded, and sentences.

    `line` is the accuracy over all images on the scale, which begins at `scale_low`, in 0..1, and ends at 1. `tests` is
    the number of slices that were compared, `more` that of the rows that are left out, `level` that of the intervals.
    """

    headline: str
    worse: list[Slice]
    more_worse: int
    rows: list[Row]
    visible: int
    more: int
    scale_low: float
    line: float
    tests: int
    level: str
    notes: list[str]


def describe_slices(slices: Slices, images: int, accuracy: float) -> SlicesPart | None:
    """Return the part, or None if the test images do not differ in any attribute that is known.

    `images` and `accuracy`, in 0..1, are those of all test images.
    """
    if not slices.rows and not slices.small:
        return None
    worse = [row for row in slices.rows if row.verdict == "worse"]
    scale_low = _round_down(min((row.accuracy_low for row in slices.rows), default=0.0))
    rows = [_place(row, scale_low) for row in slices.rows[:MAX_ROWS]]
    return SlicesPart(
        _headline(slices.rows, worse),
        worse[:MAX_SENTENCES],
        max(0, len(worse) - MAX_SENTENCES),
        rows,
        max(VISIBLE_ROWS, len(worse)),
        len(slices.rows) - len(rows),
        scale_low,
        100 * (accuracy - scale_low) / (1 - scale_low),
        len(slices.rows),
        f"{100 * slices.confidence:g} %",
        _notes(slices, worse, images),
    )


def _headline(rows: Sequence[Slice], worse: Sequence[Slice]) -> str:
    if not rows:
        return f"No kind of image has {MIN_IMAGES} test images or more, too few to compare."
    if worse:
        subject = count(len(worse), "kind of image is", "kinds of images are")
        return f"{subject} recognised clearly less often than the rest."
    return "No kind of image is recognised clearly less often than the rest."


def _notes(slices: Slices, worse: Sequence[Slice], images: int) -> list[str]:
    notes = []
    if worse:
        notes.append(
            "A kind may also be worse because difficult classes are frequent in it, and kinds may overlap: look at the "
            "images before you blame the camera."
        )
    elif slices.rows and images < FEW_IMAGES:
        notes.append(f"With {count(images, 'test image')}, only large differences can be told from chance.")
    if slices.uniform:
        same = "; ".join(f"{attribute}: {value}" for attribute, value in slices.uniform)
        notes.append(f"The same in all test images: {same}.")
    left_out = []
    if slices.small:
        left_out.append(f"{count(slices.small, 'kind')} with fewer than {MIN_IMAGES} images in it or outside it")
    if slices.rare:
        left_out.append(f"{count(slices.rare, 'rarer value')} of columns with many values")
    if left_out:
        notes.append(f"Not compared: {' and '.join(left_out)}.")
    return notes


def _place(row: Slice, scale_low: float) -> Row:
    def percent(share: float) -> float:
        return 100 * (share - scale_low) / (1 - scale_low)

    left = percent(row.accuracy_low)
    return Row(row, left, percent(row.accuracy_high) - left, percent(row.accuracy))


def _round_down(share: float) -> float:
    """Return the end of the scale below a share: a multiple of a tenth, at most 0.9."""
    return min(0.9, int(10 * share) / 10)
