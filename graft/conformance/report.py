"""The rows as a table on a terminal, as JSON, and as a part of a page in Markdown."""

import json
import math
import re
from collections.abc import Sequence
from os.path import realpath
from pathlib import Path
from typing import Any

from graft.conformance.comparison import Row, Verdict
from tasks.common.errors import GraftError
from tasks.common.files import atomic_file, refuse_special_file
from tasks.common.text import join, printable

COLUMNS = ("runtime", "version", "file", "same class", "largest difference", "ms/image", "verdict")
RIGHT = {"same class", "largest difference", "ms/image"}
BEGIN, END = "<!-- conformance: begin -->", "<!-- conformance: end -->"
WITHOUT_RUN = {Verdict.NOT_INSTALLED: "is not installed", Verdict.NO_FILE: "has no file to read"}
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#])")


def to_table(rows: Sequence[Row], fact: str) -> str:
    """Return the table as text, with the reasons and a sentence on the measurement below it."""
    lines = [COLUMNS, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    text = [
        "  ".join(
            cell.rjust(width) if name in RIGHT else cell.ljust(width)
            for cell, width, name in zip(line, widths, COLUMNS, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*text, "", *_notes(rows), fact])


def to_json(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    """Return an object with the facts and `rows`; a difference that is not a number is null."""
    return json.dumps(facts | {"rows": [_finite(row) for row in rows]}, indent=1, ensure_ascii=False)


def write_markdown(path: Path, rows: Sequence[Row], fact: str) -> None:
    """Write a page with the table, or renew the table of a page between the lines BEGIN and END.

    Raises:
        GraftError: The page exists without these lines, or is no text.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'|'.join('---:' if name in RIGHT else '---' for name in COLUMNS)}|"]
    lines += [f"| {' | '.join(map(_escape, _cells(row)))} |" for row in rows]
    notes = [f"- {_escape(note)}" for note in _notes(rows)]
    part = "\n".join([BEGIN, _escape(fact), "", *lines, *([""] if notes else []), *notes, END])
    page = read_page(path)
    before, after = ("", "\n") if page is None else (page.split(BEGIN)[0], page.split(END, 1)[1])
    # A link is followed, and the page behind it is renewed.
    with atomic_file(Path(realpath(path))) as temporary:
        temporary.write_text(before + part + after, encoding="utf-8")


def read_page(path: Path) -> str | None:
    """Return the page that `write_markdown` would renew, or None if there is none; raises as it does."""
    refuse_special_file(path)
    if not path.exists():
        return None
    try:
        page = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        message = f"{printable(str(path))} exists and is no text in UTF-8. Give a page in Markdown, or another file."
        raise GraftError(message) from error
    if not 0 <= page.find(BEGIN) < page.find(END):
        message = (
            f"{printable(str(path))} exists without the lines '{BEGIN}' and '{END}', between which the table belongs. "
            "Add them, or give another file."
        )
        raise GraftError(message)
    return page


def _cells(row: Row) -> tuple[str, ...]:
    advice = f": take {row.advice}" if row.advice and row.verdict == Verdict.DO_NOT_USE else ""
    return (
        row.runtime,
        row.version or "",
        row.variant or "",
        f"{row.agreeing:,} of {row.images:,}" if row.images else "",
        "" if row.difference is None else f"{row.difference:.1e}",
        "" if row.milliseconds is None else f"{row.milliseconds:,.{1 if row.milliseconds >= 10 else 2}f}",  # noqa: PLR2004
        f"{'fails' if row.reason else row.verdict}{advice}",
    )


def _notes(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each failure, each setting and each runtime without a run."""
    failures: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.reason and row.variant:
            failures.setdefault((row.runtime, row.reason), []).append(row.variant)
    return [
        *(f"{runtime} fails with {join(files)}: {reason}." for (runtime, reason), files in failures.items()),
        *dict.fromkeys(f"{row.runtime} {row.remark}." for row in rows if row.remark and row.variant),
        *(f"{row.runtime} {WITHOUT_RUN[row.verdict]}: {row.advice}." for row in rows if row.verdict in WITHOUT_RUN),
    ]


def _finite(row: Row) -> dict[str, Any]:
    values = row._asdict()
    if row.difference is not None and not math.isfinite(row.difference):
        values["difference"] = None
    return values


def _escape(text: str) -> str:
    return MARKDOWN.sub(r"\\\1", text)
