"""The command line of `graft predict`."""

import argparse
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from os.path import realpath
from pathlib import Path

from graft.arguments import positive
from graft.classifier import Classifier, Prediction
from graft.predict.formats import write_csv, write_json, write_parquet
from graft.predict.table import format_table
from graft.sources import find_images
from tasks.common.errors import GraftError
from tasks.common.files import atomic_file, refuse_special_file
from tasks.common.progress import say, track
from tasks.common.text import count, join, printable

MODEL = Path("artifacts/export/model.onnx")
WITHOUT_TERMINAL = 120
MANY = 100
"""Number of images from which on the progress is shown."""

EXAMPLES = """\
examples:
  graft predict photo.jpg
  graft predict --model model.onnx --csv --out predictions.csv photos/ more.zip 'other/*.png'
  find photos -name '*.jpg' | graft predict --json --top 3 -
"""


class Counts:
    """The numbers of images by how they ended."""

    def __init__(self) -> None:
        """Start at zero."""
        self.images = self.unknown = self.failed = 0

    def of(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield the predictions unchanged and count them."""
        for prediction in predictions:
            self.images += 1
            self.unknown += prediction.is_known is False
            self.failed += prediction.error is not None
            yield prediction

    def __str__(self) -> str:
        """Return the numbers in a sentence."""
        parts = [f"{number:,} {text}" for number, text in self._remarkable() if number]
        return count(self.images, "image") + (f", {join(parts)}" if parts else "")

    def _remarkable(self) -> list[tuple[int, str]]:
        return [(self.unknown, "unknown to the model"), (self.failed, "that could not be read")]


def main(arguments: list[str]) -> None:
    """Predict the images that the arguments name, and exit with 1 if some could not be read.

    Raises:
        GraftError: The model, the images or the output cannot be used.
    """
    options = make_parser().parse_args(arguments)
    if options.out is not None:
        refuse_special_file(options.out)
        if options.out.exists() and not options.force:
            message = f"{printable(str(options.out))} exists. Give another --out, or --force to replace it."
            raise GraftError(message)
    if options.format == "parquet" and options.out is None:
        message = "--parquet writes a file, not text. Give its path with --out."
        raise GraftError(message)
    if options.model is None and not MODEL.exists():
        message = f"{MODEL} is missing. Give the file that `graft train` exported with --model."
        raise GraftError(message)
    classifier = Classifier(options.model or MODEL)
    images = find_images(_names(options.images))
    counts = Counts()
    predictions = counts.of(classifier.stream(images))
    if images.total >= MANY:
        predictions = track(predictions, images.total, "graft predict")
    _write(predictions, classifier.classes, options)
    if options.out is not None or counts.failed or counts.unknown:
        written = "" if options.out is None else f", written to {printable(str(options.out))}"
        say(f"graft predict: {counts}{written}")
    if counts.failed:
        sys.exit(1)


def _write(predictions: Iterable[Prediction], classes: list[str], options: argparse.Namespace) -> None:
    top = options.top
    if options.out is None:
        # A name that the terminal's encoding lacks is escaped rather than refused.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        if options.format == "table":
            width = shutil.get_terminal_size((WITHOUT_TERMINAL, 0)).columns
            print("\n".join(format_table(list(predictions), classes, top, width)))
        else:
            write = write_csv if options.format == "csv" else write_json
            write(predictions, classes, top, sys.stdout)
        return
    # A link is followed, and the file behind it is replaced: /dev/stdout is a link too.
    with atomic_file(Path(realpath(options.out))) as temporary:
        if options.format == "parquet":
            write_parquet(predictions, classes, temporary)
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            if options.format == "table":
                file.write("\n".join(format_table(list(predictions), classes, top, WITHOUT_TERMINAL)) + "\n")
            else:
                write = write_csv if options.format == "csv" else write_json
                write(predictions, classes, top, file)


def _names(names: list[str]) -> Iterator[str]:
    """Yield the names, with those on standard input, a line each or with NUL between them, in the place of `-`."""
    for name in names:
        if name == "-":
            text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
            # Not splitlines: names may hold characters that it takes for the end of a line, such as U+2028.
            yield from filter(None, re.split("\0" if "\0" in text else "\r?\n", text))
        else:
            yield name


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="graft predict",
        description="Classify images with an exported model. It needs the model file alone, not the repository.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "images", nargs="+", metavar="IMAGES", help="files, folders, archives, patterns; - for names on standard input"
    )
    parser.add_argument("--model", type=Path, metavar="FILE", help=f"exported model (default: {MODEL})")
    formats = parser.add_mutually_exclusive_group()
    for name, text in (
        ("csv", "a row an image"),
        ("json", "an object a line"),
        ("parquet", "a Parquet file; needs --out"),
    ):
        formats.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=text)
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write (default: standard output)")
    parser.add_argument("--top", type=positive, default=1, metavar="K", help="number of classes shown (default: 1)")
    parser.add_argument("--force", action="store_true", help="replace the file of --out")
    parser.set_defaults(format="table")
    return parser
