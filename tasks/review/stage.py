"""From cached features to a table and a page of the images to review."""

from collections import Counter
from pathlib import Path

import numpy as np

from tasks.common.console import print_table
from tasks.common.progress import say
from tasks.common.text import count, printable
from tasks.images.sources import image_folder
from tasks.review import page, table
from tasks.review.dataset import read_dataset
from tasks.review.ranking.neighbours import choose_pool, find_neighbours
from tasks.review.suspects import Review, review_dataset
from tasks.tables import corrections

NEIGHBOURS = 10
# At most this share of the images is listed as wrong labels, or MIN_LIMIT of them if that is more.
SHARE = 0.04
MIN_LIMIT = 50
PRINTED = 10


def write_review(
    source: Path, features: Path, accepted: Path, corrections_file: Path, out: Path, limit: int | None
) -> None:
    """Write review.csv and review.html into the folder `out`, and print the worst suspects.

    `limit` is the largest number of likely wrong labels; None: SHARE of the images.

    Raises:
        GraftError: A file is missing or cannot be used.
    """
    images = image_folder(source)
    decisions = corrections.read(corrections_file)
    dataset = read_dataset(features, accepted)
    number = len(dataset.paths)
    if limit is None:
        limit = max(MIN_LIMIT, round(SHARE * number))
    pool = choose_pool(number)
    if len(pool) < number:
        say(f"review: neighbours are looked for among {len(pool):,} random images of {number:,}")
    say(f"review: comparing {number:,} images in {len(dataset.classes):,} classes")
    neighbours = find_neighbours(dataset.units, np.arange(number), pool, dataset.groups, NEIGHBOURS)
    review = review_dataset(dataset, neighbours, decisions, limit)
    table.write(out / "review.csv", review.suspects)
    page.write_review_page(out / "review.html", images, dataset, review)
    _print(review, number, out)


def _print(review: Review, images: int, out: Path) -> None:
    columns = ("finding", "label", "likely label", ">probability given", "path")
    rows = [
        (
            suspect.finding,
            printable(suspect.label),
            printable(suspect.likely),
            f"{suspect.probability:.2f}",
            printable(suspect.path),
        )
        for suspect in review.suspects[:PRINTED]
    ]
    if rows:
        print_table(columns, rows)
        print()
    print(f"{page.count_wrong_labels(review, images)}.")
    kinds = Counter(suspect.finding for suspect in review.suspects)
    print(f"Listed: {', '.join(count(kinds[kind], noun) for kind, noun in page.NOUNS.items())}.")
    print(f"Decide in {out / 'review.html'}, or fill the column `action` of {out / 'review.csv'}.")
    print("Then run `graft data apply FILE` with the table.")
