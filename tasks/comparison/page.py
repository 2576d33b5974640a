"""The page of a comparison: the verdict, the images that changed sides, the classes and the params."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.common.hashing import hash_file
from tasks.common.text import printable
from tasks.comparison import summary
from tasks.comparison.comparison import ClassChange, Comparison, percent, points
from tasks.pages import rendering
from tasks.pages.thumbnails import thumbnails

TEMPLATE = Path(__file__).parent / "templates" / "comparison.html"
# So many pictures of each kind take less than a megabyte.
MAX_PICTURES = 60
MAX_CLASSES = 50
TITLES = {
    "better": "{after} is better than {before}",
    "same": "No difference that chance does not explain",
    "worse": "{after} is worse than {before}",
}
TONES = {"better": "good", "same": "info", "worse": "bad"}


class Card(NamedTuple):
    """An image that changed sides, with its picture as a data: address, and both answers with their probabilities."""

    source: str | None
    path: str
    label: str
    before: str
    before_probability: float
    after: str
    after_probability: float


class Group(NamedTuple):
    """Images that changed to the same side: those that are shown, and the number of the others."""

    title: str
    number: int
    cards: list[Card]

    @property
    def more(self) -> int:
        """The number of images that are not shown."""
        return self.number - len(self.cards)


class ClassRow(NamedTuple):
    """A class in the words of the table; `change` is its difference in recall, in points."""

    name: str
    images: int
    before: str
    after: str
    change: str
    newly_right: int
    newly_wrong: int


def write_page(file: Path, comparison: Comparison, images: Path | None) -> None:
    """Write the page; `images` is the folder of the newer run's images, None for a page without pictures.

    The same arguments and files give the same bytes.
    """
    changed = [change for change in comparison.classes if change.newly_right or change.newly_wrong]
    changed.sort(key=lambda change: (change.change, change.name))
    text = rendering.render(
        TEMPLATE,
        comparison=comparison,
        title=TITLES[comparison.verdict].format(
            before=rendering.clip(comparison.before, 40), after=rendering.clip(comparison.after, 40)
        ),
        tone=TONES[comparison.verdict],
        lead=f"A{comparison.headline().partition(': a')[2]}.",
        change=points(comparison.accuracy.change),
        f1_change=points(comparison.macro_f1.change),
        figures=summary.figures(comparison),
        remarks=summary.remarks(comparison),
        changed_images=summary.changed_images(comparison),
        metrics=[(key.replace("_", " "), *map(_number, values)) for key, *values in comparison.metrics],
        groups=[
            _group("Newly wrong", comparison, comparison.newly_wrong, images),
            _group("Newly right", comparison, comparison.newly_right, images),
        ],
        classes=[_row(change) for change in changed[:MAX_CLASSES]],
        more_classes=max(len(changed) - MAX_CLASSES, 0),
        steady=len(comparison.classes) - len(changed),
        params=[(key, summary.shown(before), summary.shown(after)) for key, before, after in comparison.params],
    )
    rendering.write_page(file, text)


def _group(title: str, comparison: Comparison, rows: Sequence[int], images: Path | None) -> Group:
    """Return the images of these rows, the surest answers of the newer run first."""
    pairs = comparison.pairs
    ordered = sorted(rows, key=lambda row: (-pairs.after[row].probability, pairs.paths[row]))[:MAX_PICTURES]
    sources: dict[int, str | None] = {}
    if images is not None:
        intact = [row for row in ordered if _is_unchanged(images / pairs.paths[row], pairs.digests[row])]
        sources = dict(zip(intact, thumbnails(images, [pairs.paths[row] for row in intact]), strict=True))
    cards = [
        Card(sources.get(row), pairs.paths[row], pairs.labels[row], *pairs.before[row], *pairs.after[row])
        for row in ordered
    ]
    return Group(title, len(rows), cards)


def _is_unchanged(file: Path, digest: str) -> bool:
    """Tell whether the file is still the image that was predicted: another revision may have had another one."""
    return file.is_file() and hash_file(file) == digest


def _row(change: ClassChange) -> ClassRow:
    return ClassRow(
        printable(change.name),
        change.images,
        percent(change.right_before / change.images),
        percent(change.right_after / change.images),
        points(change.change),
        change.newly_right,
        change.newly_wrong,
    )


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
