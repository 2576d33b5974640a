"""Kinds of images: the test images divided by what the scan measured, and by further columns of the user's table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Origin = Literal["image", "table"]
Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# An attribute with no more different numbers is divided by these, and one with more by its quartiles.
MAX_MEASURED_NUMBERS = 4
MAX_NUMBERS = 20
MAX_VALUES = 20
QUARTILES = (0.25, 0.5, 0.75)
# A quartile may move over this share of the images.
SHIFT = 0.03
# Digits of fractions; the last are enough for any.
DIGITS = (3, 6, 17)
# Integers from here on are written in powers of ten.
LARGE = 1e15
NO_VALUE = "no value"
COLUMNS = ["path", "width", "height", "brightness", "sharpness", "format", "is_grey", "attributes"]
COLOURS = {True: "grey", False: "in colour", None: None}


class Group(NamedTuple):
    """The images of one kind: `attribute` and `value` are names for people, `mask`, bool [N], says which images."""

    attribute: str
    value: str
    origin: Origin
    mask: Mask


class Division(NamedTuple):
    """N images divided in several ways.

    `groups` are in the order of the attributes. `rare` is the number of values that are no group, since their attribute
    has MAX_VALUES more frequent ones.
    """

    groups: list[Group]
    rare: int


def divide_images(manifest: pa.Table, paths: Sequence[str]) -> Division:
    """Divide the images at `paths` by each attribute that the manifest has of them.

    These are the shorter side, the aspect ratio (width / height), brightness, sharpness, the file format, whether the
    image is grey, and the attributes of the user's table. Numbers are divided at their quartiles.
    """
    rows = manifest.select(COLUMNS).filter(pc.is_in(manifest["path"], pa.array(paths, pa.string())))
    by_path = {row["path"]: row for row in rows.to_pylist(maps_as_pydicts="strict")}
    images = [by_path.get(path, {}) for path in paths]
    attributes: list[Mapping[str, str]] = [image.get("attributes") or {} for image in images]
    groups: list[Group] = []
    rare = 0
    for name, unit, numbers in _measured_numbers(images):
        groups += _name(name, "image", _divide_numbers(numbers, unit, MAX_MEASURED_NUMBERS))
    columns: list[tuple[str, Origin, list[str | None]]] = [
        ("file format", "image", [image.get("format") for image in images]),
        ("colour", "image", [COLOURS[image.get("is_grey")] for image in images]),
    ]
    names = dict.fromkeys(name for cells in attributes for name in cells)
    columns += [(name, "table", [cells.get(name) for cells in attributes]) for name in names]
    for name, origin, texts in columns:
        column = _parse_numbers(texts)
        parts = _divide_texts(texts) if column is None else _divide_numbers(column, "", MAX_NUMBERS)
        groups += _name(name, origin, parts)
        rare += 0 if column is not None else max(0, len(set(texts) - {None}) - MAX_VALUES)
    return Division(groups, rare)


def _measured_numbers(images: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Numbers]]:
    """Return name, unit and values, NaN where unknown, of what the scan measured."""
    columns = {
        name: np.array([image.get(name) for image in images], np.float64)
        for name in ("width", "height", "brightness", "sharpness")
    }
    width, height = columns["width"], columns["height"]
    return [
        ("shorter side", " px", np.minimum(width, height)),
        ("aspect ratio", "", width / height),
        ("brightness", "", columns["brightness"]),
        ("sharpness", "", columns["sharpness"]),
    ]


def _name(attribute: str, origin: Origin, parts: Sequence[tuple[str, Mask]]) -> list[Group]:
    return [Group(attribute, value, origin, mask) for value, mask in parts]


def _divide_texts(texts: Sequence[str | None]) -> list[tuple[str, Mask]]:
    """Return a part for each of the most frequent values; images without one are a part of their own."""
    numbers = Counter(text for text in texts if text is not None)
    frequent = sorted(numbers, key=lambda text: (-numbers[text], text))[:MAX_VALUES]
    # Numbers, since NumPy compares texts without the zero characters at their ends.
    index_of = {text: index for index, text in enumerate(frequent)}
    indices = np.array([-1 if text is None else index_of.get(text, len(frequent)) for text in texts])
    parts = [(text, indices == index) for text, index in index_of.items()]
    return [*parts, (NO_VALUE, indices == -1)] if frequent else []


def _parse_numbers(texts: Sequence[str | None]) -> Numbers | None:
    """Return the values of a column of numbers, NaN where there is none; None if some are texts.

    Whole numbers of few kinds, such as years or numbers of cameras, are texts.
    """
    numbers = np.full(len(texts), np.nan)
    for index, text in enumerate(texts):
        if text is not None and text.lower() != "nan":
            try:
                number = float(text)
            except ValueError:
                return None
            if not isfinite(number):
                return None
            numbers[index] = number
    distinct = np.unique(numbers[~np.isnan(numbers)])
    return None if len(distinct) <= MAX_NUMBERS and _are_whole(distinct) else numbers


def _divide_numbers(numbers: Numbers, unit: str, max_distinct: int) -> list[tuple[str, Mask]]:
    """Return the parts with their names: at most `max_distinct` numbers are parts themselves, more become quartiles."""
    present = ~np.isnan(numbers)
    distinct = np.unique(numbers[present])
    if not len(distinct):
        return []
    if len(distinct) <= max_distinct:
        names = _name_numbers(distinct, unit)
        parts = [(f"{name}{unit}", numbers == number) for name, number in zip(names, distinct, strict=True)]
    else:
        bounds = _find_bounds(numbers[present])
        names = [_show(bound, unit, DIGITS[-1]) for bound in bounds]
        parts = [(f"up to {names[0]}{unit}", numbers <= bounds[0])]
        for index in range(1, len(bounds)):
            inside = (numbers > bounds[index - 1]) & (numbers <= bounds[index])
            parts.append((f"over {names[index - 1]} to {names[index]}{unit}", inside))
        parts.append((f"over {names[-1]}{unit}", numbers > bounds[-1]))
    return [*parts, (NO_VALUE, ~present)]


def _name_numbers(numbers: Numbers, unit: str) -> list[str]:
    """Return different names of different numbers, with few digits if these tell them apart."""
    names: list[str] = []
    for digits in DIGITS:
        names = [_show(number, unit, digits) for number in numbers]
        if len(set(names)) == len(names):
            break
    return names


def _find_bounds(numbers: Numbers) -> Numbers:
    """Return the quartiles; those of fractions are moved a little, so that their names are short and exact."""
    bounds = np.quantile(numbers, QUARTILES, method="inverted_cdf")
    if not _are_whole(numbers):
        limits = np.array([np.subtract(QUARTILES, SHIFT), np.add(QUARTILES, SHIFT)])
        low, high = np.quantile(numbers, limits, method="inverted_cdf")
        distinct = np.append(np.unique(numbers), np.inf)
        following = distinct[np.searchsorted(distinct, bounds, side="right")]
        bounds = np.array([_shorten(*args) for args in zip(bounds, low, high, following, strict=True)])
    return np.unique(bounds)


def _shorten(bound: float, low: float, high: float, following: float) -> float:
    """Return the number of fewest digits, two or more, in low..high, or from the bound to before the following one."""
    for digits in range(1, 17):
        mantissa, exponent = f"{bound:.{digits}e}".split("e")
        for candidate in (float(f"{mantissa}e{exponent}"), bound + 10.0 ** (int(exponent) - digits)):
            rounded = float(f"{candidate:.{digits}e}")
            if low <= rounded <= high or bound <= rounded < following:
                return rounded
    return bound


def _show(number: float, unit: str, digits: int) -> str:
    """Return a whole number in full, with its digits grouped before a unit, and a fraction with at most `digits`."""
    if number == int(number) and abs(number) < LARGE:
        return f"{int(number):,}" if unit else str(int(number))
    return f"{number:.{digits}g}" if digits < DIGITS[-1] else repr(float(number))


def _are_whole(numbers: Numbers) -> bool:
    return bool(np.all(numbers == np.floor(numbers)))
