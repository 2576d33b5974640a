"""The lines of a table of images, a CSV or Parquet file, as text."""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.common.errors import GraftError, did_you_mean
from tasks.common.params import Columns
from tasks.common.text import count, printable
from tasks.dataset.listing.attributes import Attributes

PARQUET_MAGIC = b"PAR1"
REQUIRED = ("path", "label")
# Spreadsheets write a semicolon where the comma separates decimals.
DELIMITERS = ",;\t"
# Limits that no table of images reaches, so that a file of another kind does not fill the memory.
MAX_LINE = 1_000_000
MAX_ROWS = 20_000_000
MAX_SHOWN_COLUMNS = 20
BATCH_ROWS = 10_000


class Line(NamedTuple):
    """One image in the table: where it stands there, such as `line 7`, and its cells; absent cells are empty.

    `attributes` are the cells of other columns by the columns' names, without empty ones; None if there are none.
    """

    location: str
    path: str
    label: str
    split: str
    group: str
    attributes: dict[str, str] | None


def read_lines(file: Path, columns: Columns) -> Iterator[Line]:
    """Yield the lines of the table, without empty ones.

    A CSV file is in UTF-8; its cells are separated by commas, or by semicolons or tabs if the first line is. Labels
    stay the text that they are (`007`); whole numbers and booleans of a Parquet file become text.

    Raises:
        GraftError: The file cannot be read, is no table, lacks a column or has it twice, or a line has too few or too
            many cells.
    """
    try:
        with file.open("rb") as content:
            is_parquet = content.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
        yield from _read_parquet(file, columns) if is_parquet else _read_csv(file, columns)
    except (UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        message = f"{printable(str(file))} is not a table: {printable(str(error))}. Save it as CSV in UTF-8 or Parquet."
        raise GraftError(message) from error
    except OSError as error:
        message = f"{printable(str(file))} cannot be read: {error.strerror or printable(str(error))}."
        raise GraftError(message) from error


def _read_csv(file: Path, columns: Columns) -> Iterator[Line]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        first = text.readline(MAX_LINE)
        delimiter = next((mark for mark in DELIMITERS if _has_required(_split(first, mark), columns)), ",")
        lines = iter(lambda: text.readline(MAX_LINE), "")
        reader = csv.reader(chain([first], lines), delimiter=delimiter, skipinitialspace=True, strict=True)
        header = [name.strip() for name in next(reader, [])]
        positions = _find_columns(file, header, columns)
        attributes = Attributes(file, header, positions, [True] * len(header))
        for cells in _read_rows(reader):
            if not any(cells):
                continue
            location = f"line {reader.line_num:,}"
            if len(cells) != len(header):
                cell_count = count(len(cells), "cell")
                message = f"{printable(str(file))}, {location}: {cell_count}; expected {len(header)}, as in line 1."
                raise GraftError(message)
            path, label, split, group = ("" if position is None else cells[position] for position in positions)
            others = attributes.read([cells[position] for position in attributes.positions])
            yield Line(location, path, label, split, group, others)
    attributes.report()


def _read_rows(reader: Any) -> Iterator[list[str]]:
    """Yield the rows; an error of the reader tells the line in which its row begins."""
    start = reader.line_num + 1
    try:
        for cells in reader:
            yield cells
            start = reader.line_num + 1
    except csv.Error as error:
        message = f"{error} in the row that begins in line {start:,}"
        raise csv.Error(message) from error


def _split(line: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"') for name in line.split(delimiter)]


def _has_required(header: Sequence[str], columns: Columns) -> bool:
    return all(getattr(columns, column) in header for column in REQUIRED)


def _read_parquet(file: Path, columns: Columns) -> Iterator[Line]:
    with pq.ParquetFile(file) as table:
        schema = table.schema_arrow
        if table.metadata.num_rows > MAX_ROWS:
            rows = f"{table.metadata.num_rows:,} rows; expected at most {MAX_ROWS:,}"
            message = f"{printable(str(file))} has {rows}."
            raise GraftError(message)
        positions = _find_columns(file, schema.names, columns)
        for position in positions:
            if position is not None and not _becomes_text(schema.field(position).type):
                field = schema.field(position)
                message = (
                    f"{printable(str(file))}: column '{printable(field.name)}' holds {field.type}; "
                    "expected text, whole numbers or booleans."
                )
                raise GraftError(message)
        usable = [_becomes_text(field.type) or _describes(field.type) for field in schema]
        attributes = Attributes(file, schema.names, positions, usable)
        all_positions = [*positions, *attributes.positions]
        names = [None if position is None else schema.names[position] for position in all_positions]
        number = 0
        for batch in table.iter_batches(BATCH_ROWS, columns=[name for name in names if name is not None]):
            texts = [
                [""] * len(batch) if name is None else batch.column(name).cast(pa.string()).fill_null("").to_pylist()
                for name in names
            ]
            for cells in zip(*texts, strict=True):
                number += 1
                path, label, split, group, *others = cells
                if any(cells):
                    yield Line(f"row {number:,}", path, label, split, group, attributes.read(others))
    attributes.report()


def _becomes_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _becomes_text(kind.value_type)
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _describes(kind: pa.DataType) -> bool:
    """Return whether values that are no labels may still be attributes."""
    return pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_date(kind)


def _find_columns(file: Path, header: Sequence[str], columns: Columns) -> list[int | None]:
    """Return the positions of path, label, split and group in the header, None for an optional column not there.

    An optional column is missed if the params name it otherwise than by default, or if it is there in another case.
    """
    positions: list[int | None] = []
    shown = ", ".join(printable(name) for name in header[:MAX_SHOWN_COLUMNS]) or "nothing"
    for column in Columns.model_fields:
        name = getattr(columns, column)
        occurrences = header.count(name)
        is_meant = column in REQUIRED or name != column or name.lower() in {other.lower() for other in header}
        if occurrences > 1 or (occurrences == 0 and is_meant):
            quantity = f"{occurrences} columns" if occurrences else "no column"
            message = (
                f"{printable(str(file))} has {quantity} '{name}'; found: {shown}. Set dataset.columns.{column} in "
                f"params.yaml, or correct the table.{did_you_mean(name, header)}"
            )
            raise GraftError(message)
        positions.append(header.index(name) if occurrences else None)
    return positions
