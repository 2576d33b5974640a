"""Values of the JSON file that a publisher states preprocessing in: each is checked, and an error names its key."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.common.errors import GraftError
from tasks.common.text import printable

LARGEST_FILE = 1 << 20
LARGEST_SIDE = 4096
SECTION_ADVICE = "State the preprocessing in backbone.preprocessing of params.yaml instead."


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file consists of.

    Raises:
        GraftError: it is no file, larger than a megabyte, or no valid JSON, or no object.
    """
    if not path.is_file() or path.stat().st_size > LARGEST_FILE:
        message = f"{printable(path.name)} is no file of JSON of at most {LARGEST_FILE:,} bytes. {SECTION_ADVICE}"
        raise GraftError(message)
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        message = f"{path.name} is not valid JSON: {' '.join(str(error).split())}. {SECTION_ADVICE}"
        raise GraftError(message) from error
    if not isinstance(document, dict):
        message = f"{path.name} is JSON, but no object with keys. {SECTION_ADVICE}"
        raise GraftError(message)
    return document


def refuse(file: str, key: str, value: object, expected: str) -> GraftError:
    """Return the error for a key of a published file."""
    shown = "missing" if value is None else printable(f"{value!r}"[:80])
    return GraftError(f"{file}: '{printable(key)}' is {shown}; expected {expected}. {SECTION_ADVICE}")


def read_flag(document: Mapping[str, Any], key: str, file: str, *, default: bool) -> bool:
    """Return the flag of a key, `default` where it is missing, false for null; raises a GraftError for other values."""
    value = document.get(key, default)
    if value is not None and not isinstance(value, bool):
        raise refuse(file, key, value, "true or false")
    return bool(value)


def read_number(document: Mapping[str, Any], key: str, file: str, default: float | None = None) -> float:
    """Return the number above 0 of a key, `default` where it is missing; raises a GraftError for other values."""
    value = document.get(key, default)
    if not _is_number(value) or not 0 < value < LARGEST_SIDE:
        raise refuse(file, key, value, "a number above 0")
    return float(value)


def read_side(value: object, key: str, file: str) -> int:
    """Return `value` if it is a number of pixels from 1 to 4,096; raises a GraftError for other values."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_SIDE:
        raise refuse(file, key, value, f"pixels, from 1 to {LARGEST_SIDE:,}")
    return value


def read_channels(document: Mapping[str, Any], key: str, file: str, *, positive: bool) -> tuple[float, float, float]:
    """Return the numbers of red, green and blue of a key, or its one number for all; raises a GraftError otherwise."""
    value: Any = document.get(key)
    numbers: list[Any] = [value] * 3 if _is_number(value) else value if isinstance(value, list) else []
    if len(numbers) != 3 or not all(_is_number(number) and abs(number) < 1e4 for number in numbers):  # noqa: PLR2004
        raise refuse(file, key, value, "three numbers")
    if positive and min(numbers) <= 0:
        raise refuse(file, key, value, "three numbers above 0")
    red, green, blue = map(float, numbers)
    return red, green, blue


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
