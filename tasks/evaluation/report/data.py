"""The part of the page about the data: images a class and split, samples, files that were set aside, warnings."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tasks.common.files import require
from tasks.common.text import count
from tasks.evaluation.inputs import Inputs
from tasks.pages.gallery import Gallery, Tile
from tasks.tables import accepted, quarantine
from tasks.tables.accepted import Accepted
from tasks.tables.manifest import SPLITS
from tasks.tables.quarantine import Quarantined

MAX_SAMPLES = 300
MAX_SAMPLES_OF_CLASS = 5
VISIBLE_CLASSES = 20
MAX_CLASSES = 300
MAX_SENTENCES = 20


class Class(NamedTuple):
    """The accepted images of a class in each split, the tiles of some of them, and their paths."""

    label: str
    train: int
    val: int
    test: int
    samples: list[tuple[str, Tile]]

    @property
    def images(self) -> int:
        """The images in all splits."""
        return self.train + self.val + self.test


class Kind(NamedTuple):
    """The files that were set aside for one kind of reason; path and reason are those of the first."""

    words: str
    files: int
    path: str
    reason: str


class Data(NamedTuple):
    """The part. `classes` are the smallest first, and `more` is the number of those that are left out.

    `totals` are the images of each split. `findings` are the sentences of the validation that warn, `more_findings` is
    the number of those that are left out, and `notes` are the sentences that do not warn.
    """

    headline: str
    totals: dict[str, int]
    classes: list[Class]
    visible: int
    more: int
    largest: int
    set_aside: int
    kinds: list[Kind]
    findings: list[str]
    more_findings: int
    notes: list[str]


def describe_data(inputs: Inputs, gallery: Gallery) -> Data:
    """Return the part, with samples of the classes in the gallery.

    Raises:
        GraftError: An input is missing.
    """
    rows = accepted.read(inputs.accepted)
    set_aside = quarantine.read(inputs.quarantine)
    summary = json.loads(require(inputs.validation, "validation").read_text(encoding="utf-8"))
    classes = _count_classes(rows)
    shown = _add_samples(classes[:MAX_CLASSES], rows, gallery)
    findings = [*summary.get("errors", []), *summary.get("warnings", [])]
    totals = dict.fromkeys(SPLITS, 0) | Counter(row.split for row in rows)
    return Data(
        f"{count(len(rows), 'image')} in {count(len(classes), 'class', 'classes')}",
        totals,
        shown,
        VISIBLE_CLASSES,
        len(classes) - len(shown),
        max((row.images for row in classes), default=1),
        len(set_aside),
        _group_by_kind(set_aside),
        findings[:MAX_SENTENCES],
        max(0, len(findings) - MAX_SENTENCES),
        summary.get("notes", [])[:MAX_SENTENCES],
    )


def _count_classes(rows: Sequence[Accepted]) -> list[Class]:
    numbers: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        numbers[row.label][row.split] += 1
    classes = [Class(label, row["train"], row["val"], row["test"], []) for label, row in numbers.items()]
    return sorted(classes, key=lambda row: (row.images, row.label))


def _add_samples(classes: Sequence[Class], rows: Sequence[Accepted], gallery: Gallery) -> list[Class]:
    """Give each class as many samples, evenly spaced in the order of the paths."""
    paths = defaultdict(list)
    for row in rows:
        paths[row.label].append(row.path)
    wanted = min(MAX_SAMPLES_OF_CLASS, MAX_SAMPLES // max(1, len(classes)))
    sampled = []
    for item in classes:
        of_class = paths[item.label]
        number = min(wanted, len(of_class))
        chosen = [of_class[len(of_class) * index // number] for index in range(number)]
        tiles = [(path, tile) for path in chosen if (tile := gallery.add(path)) is not None]
        sampled.append(item._replace(samples=tiles))
    return sampled


def _group_by_kind(set_aside: Sequence[Quarantined]) -> list[Kind]:
    first: dict[str, Quarantined] = {}
    for row in set_aside:
        first.setdefault(row.kind, row)
    numbers = Counter(row.kind for row in set_aside)
    kinds = [Kind(kind.replace("_", " "), numbers[row.kind], row.path, row.reason) for kind, row in first.items()]
    return sorted(kinds, key=lambda kind: (-kind.files, kind.words))
