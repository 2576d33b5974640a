"""The test images of the newer run that the older one has neither tested nor learned from.

`python -m tasks.comparison.untested` puts them into a folder, so that the older model can be asked about them:
`graft predict` takes the folder, and the name of each file is the SHA-256 of the image.
"""

import argparse
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow.parquet as pq

from tasks.common.command import IMAGES, run_command
from tasks.common.errors import GraftError
from tasks.common.hashing import hash_file
from tasks.common.text import printable
from tasks.comparison.pairs import Answer
from tasks.comparison.run import ACCEPTED, read_predictions
from tasks.images.sources import image_folder
from tasks.tables import accepted

# `graft predict` takes a file for a picture by its ending, and decodes it by its content.
ENDING = ".png"


class Untested(NamedTuple):
    """Paths of images by their SHA-256, and the number of images that the older run was trained on."""

    paths: dict[str, str]
    trained_on: int


def find_untested(before: Path, after: Path) -> Untested:
    """Return the test images of the run in the folder `after` that the one in `before` has not seen.

    Raises:
        GraftError: A file of a run is missing, or an older version of Graft wrote it.
    """
    older, newer = read_predictions(before, before.name), read_predictions(after, after.name)
    tested = set(older.digests)
    trained = {row.sha256 for row in accepted.read(before / ACCEPTED) if row.split != "test"}
    pairs = [(digest, path) for digest, path in zip(newer.digests, newer.paths, strict=True) if digest not in tested]
    return Untested(
        {digest: path for digest, path in pairs if digest not in trained},
        sum(digest in trained for digest, _ in pairs),
    )


def place_untested(untested: Untested, images: Path, out: Path) -> None:
    """Link or copy the images into the folder `out`.

    Raises:
        GraftError: An image is missing or is no longer what the run tested.
    """
    out.mkdir(parents=True, exist_ok=True)
    for digest, path in untested.paths.items():
        file = images / path
        if not file.is_file() or hash_file(file) != digest:
            state = "differs from" if file.is_file() else "is missing and was in"
            message = f"{printable(path)} {state} the committed run. Run `dvc checkout` or `dvc pull`, then run again."
            raise GraftError(message)
        try:
            os.link(file.resolve(), out / f"{digest}{ENDING}")
        except OSError:  # another file system, or one without links
            shutil.copyfile(file, out / f"{digest}{ENDING}")


def read_answers(file: Path) -> dict[str, Answer]:
    """Return the answers by SHA-256 that `graft predict --parquet` wrote for the files that were placed.

    Raises:
        GraftError: The older model could not read an image.
    """
    answers = {}
    columns = ["path", "class", "probability", "error"]
    for row in pq.read_table(file, columns=columns).to_pylist():
        digest = PurePosixPath(row["path"]).stem
        if row["error"]:
            message = f"the older model cannot read the image with SHA-256 {digest}: {printable(row['error'])}"
            raise GraftError(message)
        answers[digest] = Answer(row["class"], row["probability"])
    return answers


def main() -> None:
    """Place the untested images of --after into --out and print their number."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.comparison.untested", description="Collect test images that the older run has not seen."
    )
    parser.add_argument("--before", type=Path, required=True, help="folder of the older run")
    parser.add_argument("--after", type=Path, required=True, help="folder of the newer run")
    parser.add_argument("--images", type=Path, required=True, help=IMAGES)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args()
    untested = find_untested(arguments.before, arguments.after)
    if untested.paths:
        place_untested(untested, image_folder(arguments.images), arguments.out)
    print(len(untested.paths))


if __name__ == "__main__":
    run_command("promote", main)
