"""`corrections.csv`: what a person decided about single images; the images themselves stay untouched."""

import csv
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file
from tasks.common.text import printable

DIGEST = "0123456789abcdef"
DIGEST_LENGTH = 64


class Action(StrEnum):
    """The decision about an image: its label is right, its label is another one, or it is not used."""

    KEEP = "keep"
    RELABEL = "relabel"
    DROP = "drop"


class Correction(NamedTuple):
    """One decision. The image is known by the SHA-256 of its bytes in hex; `path` only helps people to find it.

    `label` is the new class for RELABEL; for the other actions it is the class that the image had.
    """

    sha256: str
    action: Action
    label: str
    path: str


def read(path: Path) -> dict[str, Correction]:
    """Return the corrections by SHA-256; the last line about an image counts.

    Raises:
        GraftError: The file is missing, unreadable or not CSV in UTF-8, has other columns, or has a line with a wrong
            value; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if header != list(Correction._fields):
                columns = f"the columns {', '.join(map(printable, header))}" if header else "no columns"
                message = f"{path} has {columns}; expected {', '.join(Correction._fields)}."
                raise GraftError(message)
            corrections = [_parse(path, reader.line_num, cells) for cells in reader if cells]
    except FileNotFoundError as error:
        message = f"{path} is missing. Restore it with `git checkout {path}`, or write its header by hand: " + ",".join(
            Correction._fields
        )
        raise GraftError(message) from error
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise GraftError(message) from error
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{path} is not a CSV file in UTF-8: {error}."
        raise GraftError(message) from error
    return {correction.sha256: correction for correction in corrections}


def write(path: Path, corrections: Iterable[Correction]) -> None:
    """Write the corrections, sorted by path and SHA-256, so that versions of the file compare line by line."""
    ordered = sorted(corrections, key=lambda correction: (correction.path, correction.sha256))
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Correction._fields)
        writer.writerows(ordered)


def _parse(path: Path, line: int, cells: list[str]) -> Correction:
    if len(cells) != len(Correction._fields):
        message = f"{path}, line {line:,}: {len(cells)} cells; expected {len(Correction._fields)}."
        raise GraftError(message)
    digest, action, label, image = cells
    wrong = None
    # Spreadsheets and people change the case of what they take for a number or a word.
    digest, action = digest.strip().lower(), action.strip().lower()
    if len(digest) != DIGEST_LENGTH or digest.strip(DIGEST):
        wrong = f"sha256 is '{printable(digest)}'; expected {DIGEST_LENGTH} hexadecimal digits"
    elif action not in set(Action):
        wrong = f"action is '{printable(action)}'; expected keep, relabel or drop"
    elif action == Action.RELABEL and not label.strip():
        wrong = "label is empty; expected the new class"
    if wrong:
        message = f"{path}, line {line:,}: {wrong}."
        raise GraftError(message)
    return Correction(digest, Action(action), label, image)
