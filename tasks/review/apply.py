"""Command that records the decisions of a review in the corrections: `python -m tasks.review.apply`."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from tasks.common.command import ACCEPTED, run_command
from tasks.review import table
from tasks.review.decisions import check_decisions, describe_new_classes
from tasks.tables import accepted, corrections
from tasks.tables.corrections import Action


def apply_decisions(file: Path, corrections_file: Path, accepted_file: Path) -> None:
    """Merge the decisions of a reviewed table into the corrections and print how many of each kind there were.

    A later decision about an image replaces an earlier one. Nothing is written if a line is wrong.

    Raises:
        GraftError: A file cannot be used, a line is wrong, or no line has an action.
    """
    recorded, images = corrections.read(corrections_file), accepted.read(accepted_file)
    decisions = check_decisions(file, table.read(file), images, recorded)
    if not decisions:
        print(f"{file} has no decision: the column `action` is empty. {corrections_file} is unchanged.")
        return
    for sentence in describe_new_classes(decisions, images, recorded):
        print(f"graft data apply: warning: {sentence}", file=sys.stderr)
    merged = recorded | decisions
    corrections.write(corrections_file, merged.values())
    counts = Counter(decision.action for decision in decisions.values())
    summary = f"{counts[Action.RELABEL]:,} relabelled, {counts[Action.DROP]:,} dropped, {counts[Action.KEEP]:,} kept"
    noun = "correction" if len(merged) == 1 else "corrections"
    print(f"{summary}; {corrections_file} has {len(merged):,} {noun}. Run `graft train`; commit {corrections_file}.")


def main() -> None:
    """Read --table and renew --corrections."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.review.apply", description="Record the decisions of a reviewed table."
    )
    parser.add_argument("--table", type=Path, required=True, help="edited review.csv, or the table the page saved")
    parser.add_argument(
        "--corrections", type=Path, default=Path("data/corrections.csv"), help="table of decisions to renew (.csv)"
    )
    parser.add_argument("--accepted", type=Path, default=Path("artifacts/validation/accepted.parquet"), help=ACCEPTED)
    arguments = parser.parse_args()
    apply_decisions(arguments.table, arguments.corrections, arguments.accepted)


if __name__ == "__main__":
    run_command("data apply", main)
