"""The results of scoring: Parquet files, a part for each batch of new images, and the images that a person should see.

A folder of results has `predictions/part-000001.parquet` and so on, which together are a dataset for pandas, DuckDB or
pyarrow, `review.csv` and `summary.json`.
"""

import csv
import fcntl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from graft.classifier import Prediction
from graft.predict.formats import figure, write_parquet
from graft.scoring.images import Listing, Version
from tasks.common.errors import GraftError
from tasks.common.files import atomic_file, make_folder
from tasks.common.progress import say
from tasks.common.text import printable, readable

COLUMNS = ["path", "class", "probability", "known", "is_known", "error", "bytes", "modified"]
REVIEW = "review.csv"


class Result(NamedTuple):
    """The latest result of an image, and the name of the part that has it."""

    path: str
    label: str | None
    probability: float | None
    known: float | None
    is_known: bool | None
    error: str | None
    version: Version
    part: str


def reason_for_review(result: Prediction | Result, uncertain_below: float) -> str | None:
    """Return why a person should look at an image: unreadable, unknown or uncertain; None for no reason."""
    if result.error is not None:
        return "unreadable"
    if result.is_known is False:
        return "unknown"
    return "uncertain" if result.probability is not None and result.probability < uncertain_below else None


class Results:
    """A folder of results, which one process at a time adds to."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it need not exist."""
        self.folder = folder
        self._parts = folder / "predictions"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; the kernel releases it when the process ends, even if that is killed."""
        make_folder(self.folder)
        with (self.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"graft score: another run is writing to {printable(str(self.folder))}; waiting for its end")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def latest(self) -> Iterator[Result]:
        """Yield the latest result of every image, the newest parts first; raises GraftError for a damaged part."""
        seen = set()
        for part in reversed(self._list()):
            try:
                table = pq.read_table(part, columns=COLUMNS).select(COLUMNS)
                rows = table.set_column(7, "modified", table["modified"].cast(pa.int64())).to_pylist()
            except (KeyError, OSError, pa.ArrowException) as error:
                message = (
                    f"{printable(str(part))} is no part of the results of `graft score`, or is damaged. Move it away; "
                    "its images are then scored again."
                )
                raise GraftError(message) from error
            for row in rows:
                if row["path"] not in seen:
                    seen.add(row["path"])
                    version = Version(row["bytes"], row["modified"])
                    figures = (row["class"], row["probability"], row["known"], row["is_known"], row["error"])
                    yield Result(row["path"], *figures, version, part.stem)

    def append(
        self, predictions: Iterable[Prediction], versions: Sequence[Version], classes: Sequence[str], model: str
    ) -> None:
        """Write a part, whole or not at all.

        Its columns are those of `graft predict --parquet`, and `bytes` and `modified` (UTC) of the image, and `model`,
        the SHA-256 of the model's file. The class names are in the schema's metadata.
        """
        numbers = [int(part.stem.removeprefix("part-")) for part in self._list()]
        with atomic_file(self._parts / f"part-{max(numbers, default=0) + 1:06}.parquet") as temporary:
            write_parquet(predictions, classes, temporary)
            table = pq.read_table(temporary)
            added: dict[str, pa.Array[Any]] = {
                "bytes": pa.array([version.size for version in versions], pa.int64()),
                "modified": pa.array([version.modified_ns for version in versions], pa.timestamp("ns", "UTC")),
                "model": pa.array([model] * len(versions), pa.string()),
            }
            for name, column in added.items():
                table = table.append_column(name, column)
            pq.write_table(table, temporary)

    def write_review(self, listing: Listing, uncertain_below: float) -> int:
        """Write review.csv and return the number of its rows: images to look at, those scored last first.

        An image of the listing's folder that is no longer there has been dealt with, and is left out.
        """
        present = {readable(image.source.name) for image in listing.images}
        # Names below the working folder `.` begin with no folder.
        prefix = "" if listing.location == "." else f"{readable(listing.location)}/"
        number = 0
        with atomic_file(self.folder / REVIEW) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "reason", "class", "probability", "known", "error", "part"])
            for result in self.latest():
                reason = reason_for_review(result, uncertain_below)
                is_gone = result.path.startswith(prefix) and result.path not in present
                if reason is not None and not is_gone:
                    figures = ["" if value is None else figure(value) for value in (result.probability, result.known)]
                    writer.writerow([result.path, reason, result.label, *figures, result.error, result.part])
                    number += 1
        return number

    def _list(self) -> list[Path]:
        return sorted(self._parts.glob("part-[0-9]*.parquet"))
