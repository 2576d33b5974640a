"""The preprocessing as a publisher's JSON file states it, and the reading of values from such a file."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tasks.common.errors import GraftError
from tasks.common.text import printable
from tasks.onnx.resize import Fit, Interpolation

LARGEST_SIDE = 4096
SECTION_ADVICE = "State the preprocessing in backbone.preprocessing of params.yaml instead."


class Published(NamedTuple):
    """A published preprocessing: resize, then (pixel * scale - mean) / std of each channel.

    `crop_share`, in (0, 1], is the share of the sides of the square that is used, around the centre.
    """

    size: int
    fit: Fit
    crop_share: float
    interpolation: Interpolation
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def is_timm(document: Mapping[str, Any]) -> bool:
    """Tell whether a file named config.json is one of timm."""
    return "pretrained_cfg" in document


def refuse(file: str, key: str, found: object, expected: str) -> GraftError:
    """Return the error for a key of a published file."""
    shown = "missing" if found is None else printable(f"{found!r}"[:80])
    return GraftError(f"{file}: '{key}' is {shown}; expected {expected}. {SECTION_ADVICE}")


def read_flag(document: Mapping[str, Any], key: str, file: str, *, default: bool) -> bool:
    """Return a boolean."""
    value = document.get(key, default)
    if not isinstance(value, bool):
        raise refuse(file, key, value, "true or false")
    return value


def read_number(document: Mapping[str, Any], key: str, file: str, default: float | None = None) -> float:
    """Return a number above 0."""
    value = document.get(key, default)
    if not _is_number(value) or not 0 < value < LARGEST_SIDE:
        raise refuse(file, key, value, "a number above 0")
    return float(value)


def read_side(value: object, key: str, file: str) -> int:
    """Return a number of pixels."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_SIDE:
        raise refuse(file, key, value, f"pixels, from 1 to {LARGEST_SIDE:,}")
    return value


def read_three(document: Mapping[str, Any], key: str, file: str, *, positive: bool) -> tuple[float, float, float]:
    """Return the numbers of red, green and blue."""
    value = document.get(key)
    numbers = value if isinstance(value, list) else []
    if len(numbers) != 3 or not all(_is_number(number) and abs(number) < 1e4 for number in numbers):  # noqa: PLR2004
        raise refuse(file, key, value, "three numbers")
    if positive and min(numbers) <= 0:
        raise refuse(file, key, value, "three numbers above 0")
    red, green, blue = map(float, numbers)
    return red, green, blue


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
