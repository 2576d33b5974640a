"""Command of the comparison: two runs on the test images that both have predicted."""

import argparse
from pathlib import Path

from tasks.common.command import run_command


def main() -> None:
    """Print the comparison; write the page into --out and the document into --json, if these are given."""
    parser = argparse.ArgumentParser(prog="python -m tasks.comparison", description="Compare two runs.")
    parser.add_argument("--before", type=Path, required=True, help="folder of the older run")
    parser.add_argument("--after", type=Path, required=True, help="folder of the newer run")
    parser.add_argument("--before-name", default="before", help="name of the older run")
    parser.add_argument("--after-name", default="after", help="name of the newer run")
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="answers of the older model to images it did not test (.parquet)"
    )
    parser.add_argument("--leave-out-trained", action="store_true", help="count the images the older run learned from")
    parser.add_argument("--images", type=Path, help="images' folder or archive, for the pictures of the page")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder of the page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="document to write")
    arguments = parser.parse_args()
    # scipy takes half a second to import, and --help needs none of it.
    from tasks.comparison.report import write_comparison

    write_comparison(
        (arguments.before, arguments.before_name),
        (arguments.after, arguments.after_name),
        arguments.answers,
        arguments.images,
        arguments.out,
        arguments.json,
        leave_out_trained=arguments.leave_out_trained,
    )


if __name__ == "__main__":
    run_command("report", main)
