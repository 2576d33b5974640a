"""`review.csv`: the images to review, the worst first, with two columns for a person to fill in."""

import csv
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file

COLUMNS = (
    "action",
    "new label",
    "path",
    "label",
    "likely label",
    "probability given",
    "score",
    "finding",
    "sha256",
    "nearest image",
)
NEEDED = ("action", "new label", "label", "sha256", "path")
# A spreadsheet takes a cell that begins with one of these for a formula; the last four are their full-width forms.
FORMULA_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
GUARD = "'"
DELIMITERS = ",;\t"


class FindingKind(StrEnum):
    """Why an image is in the list."""

    WRONG_LABEL = "wrong label"
    DUPLICATE = "duplicate"
    OUTLIER = "outlier"


class Suspect(NamedTuple):
    """One image to review.

    `likely` is the most probable class other than `label`, for a duplicate the label of the other image; empty where
    the finding does not doubt the label. `probability` is that of `label`, 0..1. `score` is higher for worse images of
    one finding. `nearest` is the path of the nearest image, for a duplicate of the other one.
    """

    path: str
    label: str
    likely: str
    probability: float
    score: float
    finding: FindingKind
    sha256: str
    nearest: str


class Line(NamedTuple):
    """One line of an edited table: its number in the file, and its cells without guards.

    Action and SHA-256 are in lower case, without surrounding blanks. Class names are as written, because folders may
    have blanks in their names.
    """

    number: int
    action: str
    new_label: str
    path: str
    label: str
    sha256: str


def write(path: Path, suspects: Iterable[Suspect]) -> None:
    """Write a line a suspect, with an empty action and the likely class as new label; no cell is a formula."""
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        # With every cell in quotes, line ends inside names do not end the line.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(COLUMNS)
        for suspect in suspects:
            writer.writerow(map(guard, cells(suspect)))


def read(path: Path) -> list[Line]:
    """Return the lines of an edited table; commas, semicolons or tabs may separate the cells.

    Raises:
        GraftError: The file is missing, unreadable or no CSV file in UTF-8, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=header.count)
            reader = csv.DictReader(file, delimiter=delimiter, restval="", strict=True)
            missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                message = f"{path} lacks the column '{missing[0]}'; expected the columns {', '.join(NEEDED)}."
                raise GraftError(message)
            return [_parse(reader.line_num, row) for row in reader]
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}. Give the CSV file that `graft data review` wrote."
        raise GraftError(message) from error
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{path} is not a CSV file in UTF-8: {error}. Save it as CSV (UTF-8)."
        raise GraftError(message) from error


def cells(suspect: Suspect) -> tuple[str, ...]:
    """Return the cells of a suspect's line in the order of COLUMNS: the action is empty, the likely class is filled in.

    None is guarded yet.
    """
    return (
        "",
        suspect.likely,
        suspect.path,
        suspect.label,
        suspect.likely,
        f"{suspect.probability:.4f}",
        f"{suspect.score:.4f}",
        suspect.finding,
        suspect.sha256,
        suspect.nearest,
    )


def guard(cell: str) -> str:
    """Return the cell with an apostrophe before it if a spreadsheet would take it for a formula."""
    return GUARD + cell if cell.startswith((GUARD, *FORMULA_STARTS)) else cell


def unguard(cell: str) -> str:
    """Return the cell that `guard` took; a cell that it never gives, such as `'tis`, is unchanged."""
    bare = cell.removeprefix(GUARD)
    return bare if guard(bare) == cell else cell


def _parse(number: int, row: dict[str, str]) -> Line:
    new_label, path, label = (unguard(row[name]) for name in ("new label", "path", "label"))
    return Line(number, row["action"].strip().lower(), new_label, path, label, row["sha256"].strip().lower())
