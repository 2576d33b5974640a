"""`corrections.csv`: what a person decided about single images; the images themselves stay untouched."""

import csv
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file

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
        GraftError: The file is missing or not UTF-8, has other columns, or has a line with a wrong value; the message
            names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or list(reader.fieldnames) != list(Correction._fields):
                message = f"{path} has the columns {reader.fieldnames}; expected {', '.join(Correction._fields)}."
                raise GraftError(message)
            corrections = [_parse(path, reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        message = f"{path} is missing. Restore it with `git checkout {path}`, or write its header by hand: " + ",".join(
            Correction._fields
        )
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


def _parse(path: Path, line: int, row: dict[str, str]) -> Correction:
    digest, action, label = row["sha256"], row["action"], row["label"]
    wrong = None
    if not digest or len(digest) != DIGEST_LENGTH or digest.strip(DIGEST):
        wrong = f"sha256 is '{digest}'; expected {DIGEST_LENGTH} hexadecimal digits"
    elif action not in set(Action):
        wrong = f"action is '{action}'; expected keep, relabel or drop"
    elif action == Action.RELABEL and not label:
        wrong = "label is empty; expected the new class"
    if wrong:
        message = f"{path}, line {line}: {wrong}."
        raise GraftError(message)
    return Correction(digest, Action(action), label or "", row["path"] or "")
