"""Command of the review: lists likely wrong labels, near-duplicates and odd images."""

import argparse
from pathlib import Path

from tasks.common.command import ACCEPTED, IMAGES, run_command

CORRECTIONS = "decisions about single images (.csv)"


def main() -> None:
    """Write review.csv and review.html into --out."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.review", description="List likely wrong labels, near-duplicates and odd images."
    )
    parser.add_argument("--images", type=Path, required=True, help=IMAGES)
    parser.add_argument("--features", type=Path, default=Path("artifacts/features/features.parquet"), help="features")
    parser.add_argument("--accepted", type=Path, default=Path("artifacts/validation/accepted.parquet"), help=ACCEPTED)
    parser.add_argument("--corrections", type=Path, default=Path("data/corrections.csv"), help=CORRECTIONS)
    parser.add_argument("--out", type=Path, default=Path("artifacts/review"), help="folder to write")
    parser.add_argument("--limit", type=_positive, help="most likely wrong labels listed (default: 4 %% of the images)")
    arguments = parser.parse_args()
    # scikit-learn takes a second to import, and --help needs none of it.
    from tasks.review.stage import write_review

    write_review(
        arguments.images,
        arguments.features,
        arguments.accepted,
        arguments.corrections,
        arguments.out,
        arguments.limit,
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"expected a whole number of at least 1, found '{text}'"
        raise argparse.ArgumentTypeError(message)
    return int(text)


if __name__ == "__main__":
    run_command("data review", main)
