"""The command line of `graft conformance`."""

import argparse
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from graft.arguments import positive
from graft.conformance.comparison import Comparison, Row, advise, plan
from graft.conformance.machine import describe_machine
from graft.conformance.pixels import select, write_pixels
from graft.conformance.report import read_page, to_json, to_table, write_markdown
from graft.conformance.runtimes.registry import REFERENCE, RUNTIMES
from graft.conformance.variants import TOLERANCE, Export, find_export
from graft.sources import find_images
from tasks.common.errors import GraftError
from tasks.common.progress import say, track
from tasks.common.text import count, join, printable

FOLDER = Path("artifacts/export")
NODE = Path(sys.prefix) / "node"

EXAMPLES = """\
examples:
  graft conformance photos/
  graft conformance --model artifacts/export/model.onnx --markdown runtimes.md photos/ 'more/*.png'
  graft conformance --json photos/ > conformance.json

A runtime is fit for a file if it names the class that ONNX Runtime names for every image, and no probability differs by
more than the tolerance. The exit code is 0 even if runtimes are not fit; it is 1 if ONNX Runtime itself fails.
"""


def main(arguments: list[str]) -> None:
    """Compare all runtimes on the images that the arguments name.

    Raises:
        GraftError: The model, the images or the page cannot be used, or the reference fails.
    """
    options = make_parser().parse_args(arguments)
    if options.model == FOLDER and not FOLDER.exists():
        message = f"{FOLDER} is missing. Give the folder that `graft train` exported, or a model file, with --model."
        raise GraftError(message)
    if options.markdown is not None:
        read_page(options.markdown)
    export = find_export(options.model)
    rows, images, is_one_class = _compare(export, options)
    if is_one_class:
        say("graft conformance: ONNX Runtime names one class for all images, which proves little. Give more classes.")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    fact = (
        f"Measured {today} on {describe_machine()}, one thread, {count(images, 'image')}. {_state_tolerances(export)}"
    )
    if options.json:
        details = {
            "model": printable(str(export.model)),
            "graft": version("graft"),
            "date": today,
            "machine": describe_machine(),
            "images": images,
        }
        print(to_json(rows, details))
    elif options.markdown is None:
        # A name that the terminal's encoding lacks is escaped rather than refused.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        print(to_table(rows, fact))
    if options.markdown is not None:
        write_markdown(options.markdown, rows, fact)


def _compare(export: Export, options: argparse.Namespace) -> tuple[list[Row], int, bool]:
    """Return the rows, the number of images, and whether all of them have the same class."""
    jobs = plan(RUNTIMES, export.variants, options.node)
    with TemporaryDirectory(prefix="graft-conformance-") as temporary:
        folder = Path(temporary)
        decoded, resized = write_pixels(select(find_images(options.images), options.limit), export.model, folder)
        pixels = {False: decoded, True: resized}
        comparison = Comparison(REFERENCE, export.outputs, pixels, folder, options.node, options.seconds)
        rows = [comparison.run(job) for job in track(jobs, len(jobs), "graft conformance", "runs")]
    return advise(rows), len(decoded.shapes), comparison.is_one_class


def _state_tolerances(export: Export) -> str:
    """Return a sentence with the tolerances of the verdict."""
    others = [
        f"{variant.tolerance:g} for {variant.name}" for variant in export.variants if variant.tolerance != TOLERANCE
    ]
    return f"The verdict allows differences up to {join([f'{TOLERANCE:g}', *others])}."


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="graft conformance",
        description="Compare the runtimes that are installed with ONNX Runtime, on a model and images of yours.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="files, folders, archives, patterns")
    parser.add_argument(
        "--model",
        type=Path,
        default=FOLDER,
        metavar="PATH",
        help="exported folder, or a file in it (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="an object instead of the table")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table as Markdown, or renew it in a page that has it"
    )
    parser.add_argument(
        "--limit", type=positive, default=32, metavar="N", help="most images, evenly spaced (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=positive, default=60, metavar="S", help="time limit of each process (default: %(default)s)"
    )
    parser.add_argument(
        "--node",
        type=Path,
        default=NODE,
        metavar="FOLDER",
        help="folder with node_modules, for the runtimes in JavaScript (default: 'node' in Python's environment)",
    )
    return parser
