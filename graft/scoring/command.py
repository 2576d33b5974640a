"""The command line of `graft score`."""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from graft.arguments import share
from tasks.common.errors import GraftError
from tasks.common.progress import say
from tasks.common.text import count, join, printable

if TYPE_CHECKING:
    from graft.scoring.scorer import Summary

MODEL = Path("artifacts/export/model.onnx")

EXAMPLES = """\
examples:
  graft score photos/                        # results in scores/, then again: only what is new
  graft score --results night s3://bucket/photos
"""


def main(arguments: list[str]) -> None:
    """Score the new images of the folder that the arguments name.

    Raises:
        GraftError: The model, the images or the results cannot be used, or pyarrow is not installed.
        DownloadError: The bucket cannot be used at the moment.
    """
    options = make_parser().parse_args(arguments)
    if find_spec("pyarrow") is None:
        message = "graft score needs pyarrow, which writes its results: pip install pyarrow."
        raise GraftError(message)
    if not options.model.exists():
        message = f"{printable(str(options.model))} is missing. Give the file that `graft train` exported with --model."
        raise GraftError(message)
    from graft.scoring.results import REVIEW, Results
    from graft.scoring.scorer import score

    summary = score(options.model, options.images, Results(options.results), options.uncertain_below)
    say(f"graft score: {_sentence(summary)}")
    if summary.for_review:
        say(
            f"graft score: for review: {count(summary.for_review, 'image')}, {printable(str(options.results / REVIEW))}"
        )


def _sentence(summary: "Summary") -> str:
    shown = printable(summary.location)
    if not summary.images:
        return f"there are no images in {shown}"
    if not summary.new:
        return f"nothing new: {count(summary.images, 'image')} of {shown} scored before"
    numbers = [
        (summary.unknown, "unknown to the model"),
        (summary.uncertain, "uncertain"),
        (summary.unreadable, "that could not be read"),
    ]
    parts = [f"{number:,} {text}" for number, text in numbers if number]
    return f"{count(summary.new, 'new image')} of {summary.images:,}" + (f", {join(parts)}" if parts else "")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="graft score",
        description="Classify the images that are new in a folder or a bucket, and add them to results in Parquet.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", metavar="IMAGES", help="a folder, or an address such as s3://bucket/folder")
    parser.add_argument(
        "--model", type=Path, default=MODEL, metavar="FILE", help="exported model (default: %(default)s)"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("scores"), metavar="FOLDER", help="results (default: %(default)s)"
    )
    parser.add_argument(
        "--uncertain-below",
        type=share,
        default=0.8,
        metavar="P",
        help="probability below which an image is listed for review (default: %(default)s)",
    )
    return parser
