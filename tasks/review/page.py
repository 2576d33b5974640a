"""`review.html`: the suspects as pictures beside the nearest training images, with buttons for the decisions."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.pages import rendering
from tasks.pages.thumbnails import thumbnails
from tasks.review.dataset import Dataset
from tasks.review.ranking.neighbours import find_neighbours
from tasks.review.suspects import Review
from tasks.review.table import COLUMNS, FORMULA_STARTS, GUARD, FindingKind, Suspect, cells

TEMPLATE = Path(__file__).parent / "templates" / "review.html"
SIDE = 144
NEAREST_SIDE = 64
NEAREST = 5
MAX_SUSPECTS = 300
# The page stays near 3 MB, so that it opens at once and can be sent by mail.
PICTURE_BYTES = 2_700_000
NOUNS = {
    FindingKind.WRONG_LABEL: "doubtful label",
    FindingKind.DUPLICATE: "near-duplicate",
    FindingKind.OUTLIER: "odd image",
}


class Neighbour(NamedTuple):
    """An image beside a suspect: its picture as a data: address, path and class."""

    source: str | None
    path: str
    label: str


class Card(NamedTuple):
    """A suspect, numbered within the page, with its picture as a data: address and images near it."""

    number: int
    suspect: Suspect
    source: str | None
    split: str
    neighbours: list[Neighbour]


def write_review_page(file: Path, images: Path, dataset: Dataset, review: Review) -> None:
    """Write the page; `images` is the images' folder, for thumbnails. The same arguments and files give the same bytes.

    At most MAX_SUSPECTS suspects are on it, as many as fit into about 3 MB.
    """
    cards = _cards(images, dataset, review)
    data = {
        "columns": COLUMNS,
        "formula_starts": FORMULA_STARTS,
        "guard": GUARD,
        "classes": dataset.classes,
        "rows": [cells(card.suspect) for card in cards],
        "key": _identify(cards),
    }
    count = len(dataset.paths)
    text = rendering.render(
        TEMPLATE,
        title=count_wrong_labels(review, count),
        any_wrong=review.wrong_labels >= 0.5,  # noqa: PLR2004
        sections=[(kind, [card for card in cards if card.suspect.finding == kind]) for kind in FindingKind],
        shown=len(cards),
        listed=len(review.suspects),
        data=data,
    )
    rendering.write_page(file, text)


def count_wrong_labels(review: Review, images: int) -> str:
    """Return the sentence with the estimated number of wrong labels among so many images, without a period."""
    count = round(review.wrong_labels)
    if count == 0:
        return f"Hardly any of {images:,} labels are likely wrong"
    verb = "is" if count == 1 else "are"
    return f"About {count:,} of {images:,} labels {verb} likely wrong"


def _cards(images: Path, dataset: Dataset, review: Review) -> list[Card]:
    rows = np.array(review.rows[:MAX_SUSPECTS], np.int64)
    training = np.flatnonzero(np.array([split == "train" for split in dataset.splits], np.bool_))
    nearest = find_neighbours(dataset.units, rows, training, dataset.groups, NEAREST).rows if len(training) else None
    position = {path: row for row, path in enumerate(dataset.paths)}
    cards: list[Card] = []
    used = 0
    for number, (row, suspect) in enumerate(zip(rows.tolist(), review.suspects, strict=False)):
        beside = [other for other in nearest[number].tolist() if other >= 0] if nearest is not None else []
        if suspect.finding == FindingKind.DUPLICATE:
            # The other image of the pair comes first, whatever its split.
            twin = position[suspect.nearest]
            beside = [twin, *(other for other in beside if other != twin)][:NEAREST]
        (source,) = thumbnails(images, [suspect.path], SIDE)
        small = thumbnails(images, [dataset.paths[other] for other in beside], NEAREST_SIDE)
        used += sum(len(picture or "") for picture in (source, *small))
        if used > PICTURE_BYTES:
            break
        neighbours = [
            Neighbour(picture, dataset.paths[other], dataset.classes[dataset.labels[other]])
            for other, picture in zip(beside, small, strict=True)
        ]
        cards.append(Card(number, suspect, source, dataset.splits[row], neighbours))
    return cards


def _identify(cards: Sequence[Card]) -> str:
    """Return a name for the set of images and labels, under which a browser keeps the decisions."""
    digest = sha256()
    for card in cards:
        digest.update(f"{card.suspect.sha256} {card.suspect.label}\0".encode())
    return f"graft review {digest.hexdigest()}"
