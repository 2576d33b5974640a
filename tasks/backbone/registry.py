"""One row an architecture: everything that has to be known of a network before it is built.

The rows are in architectures.csv. Parameters, widths, files and hashes are keras.applications' own (tests hold them to
it); licences and sources are those that the Keras documentation names for the weights.
"""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tasks.common.errors import GraftError, did_you_mean

HOST = "https://storage.googleapis.com"
TABLE = Path(__file__).with_name("architectures.csv")

Mode = Literal["caffe", "tf", "torch", "none"]
Quirk = Literal["", "rescales_imagenet", "flattens"]


class Architecture(NamedTuple):
    """A row: a constructor of keras.applications, what it expects, and the ImageNet weights published for it.

    Sizes are pixels. Parameters, without and with the top, and `width`, the channels of the last maps, are those at
    alpha 1. `mode` is the preprocessing (`none`: the network holds its own). `alphas` gives the width multipliers with
    published weights and how file names spell them; empty where the network has no width multiplier.

    `quirk` is `rescales_imagenet` where the ImageNet weights are for a network with one more layer than the constructor
    builds for other weights, `flattens` where the top fits the default input size alone.

    `file` is the weights' path below HOST, with places for {alpha}, {size} and {top}: {top} becomes empty or `no_top`.
    `sizes` are the input sizes that have files of their own. `hash` and `hash_no_top` give the published MD5 or SHA-256
    by alpha (None where the network has none); empty where none was published.
    """

    name: str
    input_size: int
    smallest: int
    mode: Mode
    parameters: int
    parameters_with_top: int
    width: int
    alphas: Mapping[float, str]
    quirk: Quirk
    file: str
    no_top: str
    sizes: tuple[int, ...]
    hash: Mapping[float | None, str]
    hash_no_top: Mapping[float | None, str]
    licence: str
    source: str


class WeightFile(NamedTuple):
    """A file to fetch: its URL, its name in the cache, and its published MD5 or SHA-256 if there is one."""

    url: str
    name: str
    digest: str | None


CLASS_INDEX = WeightFile(
    f"{HOST}/download.tensorflow.org/data/imagenet_class_index.json",
    "imagenet_class_index.json",
    "c2c37ea517e94d9795004a39431a14cb",
)
"""The names of ImageNet's 1,000 classes by their places in the networks' outputs."""


def imagenet_file(row: Architecture, alpha: float | None, size: int, *, include_top: bool) -> WeightFile:
    """Return the file with the ImageNet weights of that row; raises GraftError when none was published."""
    if alpha is not None and alpha not in row.alphas:
        message = f"{row.name} has ImageNet weights for alpha {', '.join(map(str, row.alphas))}; found {alpha:g}."
        raise GraftError(message)
    path = row.file.format(
        alpha=row.alphas[alpha] if alpha is not None else "",
        size=size if size in row.sizes else row.input_size,
        top="" if include_top else row.no_top,
    )
    hashes = row.hash if include_top else row.hash_no_top
    return WeightFile(f"{HOST}/{path}", path.rsplit("/", 1)[-1], hashes.get(alpha))


def architecture(name: str) -> Architecture:
    """Return the row of that name; raises GraftError with the nearest match."""
    rows = architectures()
    if name not in rows:
        message = (
            f"backbone.name '{name}' is unknown.{did_you_mean(name, rows)} Known: {', '.join(rows)}; "
            "or a network of your own, as backbones.MODULE:FUNCTION."
        )
        raise GraftError(message)
    return rows[name]


def sized(row: Architecture, input_size: int | None, alpha: float | None) -> tuple[int, float | None]:
    """Return input size and width multiplier with the row's defaults in place of None.

    Raises GraftError when the size is too small, or the network has no width multiplier.
    """
    if alpha is not None and not row.alphas:
        message = f"backbone.alpha is {alpha:g}, but {row.name} has no width multiplier. Set it to null."
        raise GraftError(message)
    size = input_size or row.input_size
    if size < row.smallest:
        message = f"backbone.input_size is {size}; {row.name} takes images of at least {row.smallest} pixels."
        raise GraftError(message)
    return size, (alpha or 1.0) if row.alphas else None


@cache
def architectures() -> dict[str, Architecture]:
    """Return every row by its name."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {cells["name"]: _row(cells) for cells in csv.DictReader(file)}


def _row(cells: dict[str, Any]) -> Architecture:
    for column in ("input_size", "smallest", "parameters", "parameters_with_top", "width"):
        cells[column] = int(cells[column])
    cells["alphas"] = {float(alpha): text for alpha, _, text in _pairs(cells["alphas"])}
    cells["sizes"] = tuple(map(int, cells["sizes"].split()))
    for column in ("hash", "hash_no_top"):
        cells[column] = {float(alpha) if alpha else None: digest for alpha, _, digest in _pairs(cells[column])}
    return Architecture(**cells)


def _pairs(cell: str) -> list[tuple[str, str, str]]:
    """Split `key=value key=value`; a value without a key has an empty one."""
    return [pair.partition("=") if "=" in pair else ("", "", pair) for pair in cell.split()]
