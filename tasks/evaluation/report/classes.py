"""The part of the page about each class: precision, recall and F1 with their intervals, the worst first."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

VISIBLE_CLASSES = 20
MAX_CLASSES = 500


class ClassesPart(NamedTuple):
    """The part: rows of classes.csv by F1, the lowest first, of which `visible` are not folded and `more` are left out.

    `unmeasured` are the classes without test images, and `level` is that of the intervals.
    """

    rows: list[Mapping[str, Any]]
    visible: int
    more: int
    unmeasured: int
    level: str


def describe_classes(classes: Sequence[Mapping[str, Any]], confidence: float) -> ClassesPart:
    """Return the part from the rows of classes.csv and the level of their intervals."""
    rows = sorted((row for row in classes if row["images"]), key=lambda row: (row["f1"], -row["images"], row["class"]))
    return ClassesPart(
        rows[:MAX_CLASSES],
        VISIBLE_CLASSES,
        max(0, len(rows) - MAX_CLASSES),
        len(classes) - len(rows),
        f"{100 * confidence:g} %",
    )
