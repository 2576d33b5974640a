"""`quarantine.csv`: the files that validation set aside, in the order of the manifest."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import QuarantineKind
from tasks.common.files import atomic_file, require


class Quarantined(NamedTuple):
    """One file that is set aside: why as a kind, and as a sentence for people."""

    path: str
    label: str
    kind: QuarantineKind
    reason: str


def write(path: Path, rows: Iterable[Quarantined]) -> None:
    """Write the rows under the names of their columns."""
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        # Without this, a carriage return in a name (`Icon\r` of macOS) would end the line for readers.
        quoting_writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(Quarantined._fields)
        for row in rows:
            (quoting_writer if any("\r" in value for value in row) else writer).writerow(row)


def read(path: Path) -> list[Quarantined]:
    """Return the rows that `write` wrote; raises GraftError when the file is missing."""
    with require(path, "validation").open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [Quarantined(row["path"], row["label"], QuarantineKind(row["kind"]), row["reason"]) for row in rows]
