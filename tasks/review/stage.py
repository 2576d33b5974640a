"""From cached features to a table and a page of the images to review."""

from collections import Counter
from pathlib import Path

import numpy as np

from tasks.common.console import print_table
from tasks.common.progress import say
from tasks.common.text import printable
from tasks.images.sources import image_folder
from tasks.review import page, table
from tasks.review.dataset import read_dataset
from tasks.review.neighbours import choose_pool, find_neighbours
from tasks.review.suspects import Review, review_dataset
from tasks.tables import corrections

NEIGHBOURS = 10
# Of the images: as many wrong labels are listed, and at least the second number.
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
    count = len(dataset.paths)
    if limit is None:
        limit = max(MIN_LIMIT, round(SHARE * count))
    pool = choose_pool(count)
    if len(pool) < count:
        say(f"review: neighbours are looked for among {len(pool):,} random images of {count:,}")
    say(f"review: comparing {count:,} images in {len(dataset.classes):,} classes")
    neighbours = find_neighbours(dataset.units, np.arange(count), pool, dataset.groups, NEIGHBOURS)
    review = review_dataset(dataset, neighbours, decisions, limit)
    table.write(out / "review.csv", review.suspects)
    page.write_review_page(out / "review.html", images, dataset, review)
    _print(review, count, out)


def _print(review: Review, images: int, out: Path) -> None:
    columns = ("finding", "label", "likely label", ">probability given", "path")
    rows = [
        (suspect.finding, printable(suspect.label), printable(suspect.likely), f"{suspect.probability:.2f}", path)
        for suspect in review.suspects[:PRINTED]
        for path in [printable(suspect.path)]
    ]
    if rows:
        print_table(columns, rows)
        print()
    print(f"{page.count_wrong_labels(review, images)}.")
    kinds = Counter(suspect.finding for suspect in review.suspects)
    counts = ", ".join(f"{kinds[kind]:,} {page.NOUNS[kind]}" for kind in page.NOUNS)
    print(f"Listed: {counts}.")
    print(f"Decide in {out / 'review.html'}, or fill the column `action` of {out / 'review.csv'}.")
    print("Then run `graft data apply FILE` with the table.")
