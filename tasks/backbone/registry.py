"""Registry of the architectures of keras.applications, read from architectures.csv.

Tests compare parameters, widths, files and hashes with keras.applications itself; licences and sources are those that
the Keras documentation names for the weights.
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
    """A constructor of keras.applications, its defaults and limits, and the ImageNet weights published for it.

    Sizes are in pixels. `parameters` (without the top), `parameters_with_top` and `width`, the number of channels of
    the last maps, are those at alpha 1. `mode` is the preprocessing of keras.applications (`none`: the network
    preprocesses by itself). `alphas` maps the width multipliers with published weights to their spelling in file names;
    it is empty where the network has no width multiplier.

    `quirk` is `rescales_imagenet` where the network for the ImageNet weights has one more layer than for other weights,
    and `flattens` where the top fits only the default input size.

    `file` is the path of the weights below HOST, a template with {alpha}, {size} and {top}; {top} becomes empty or
    `no_top`. `sizes` are the input sizes that have files of their own. `hash` and `hash_no_top` map alpha (None where
    the network has none) to the published MD5 or SHA-256; they are empty where none was published.
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
"""Index of ImageNet's 1,000 classes by their positions in the networks' outputs."""


def find_imagenet_file(architecture: Architecture, alpha: float | None, size: int, *, include_top: bool) -> WeightFile:
    """Return the file with the ImageNet weights; raises GraftError when none was published for this alpha."""
    if alpha is not None and alpha not in architecture.alphas:
        alphas = ", ".join(map(str, architecture.alphas))
        message = f"{architecture.name} has ImageNet weights for alpha {alphas}; found {alpha:g}."
        raise GraftError(message)
    path = architecture.file.format(
        alpha=architecture.alphas[alpha] if alpha is not None else "",
        size=size if size in architecture.sizes else architecture.input_size,
        top="" if include_top else architecture.no_top,
    )
    digests = architecture.hash if include_top else architecture.hash_no_top
    return WeightFile(f"{HOST}/{path}", path.rsplit("/", 1)[-1], digests.get(alpha))


def find_architecture(name: str) -> Architecture:
    """Return the architecture of that name; raises GraftError with the nearest match."""
    architectures = load_architectures()
    if name not in architectures:
        message = (
            f"backbone.name '{name}' is unknown.{did_you_mean(name, architectures)} Known: {', '.join(architectures)}; "
            "or a network of your own, as backbones.MODULE:FUNCTION."
        )
        raise GraftError(message)
    return architectures[name]


def resolve_size(architecture: Architecture, input_size: int | None, alpha: float | None) -> tuple[int, float | None]:
    """Return input size in pixels and width multiplier, with the architecture's defaults in place of None.

    Raises:
        GraftError: the size is too small, or alpha is set and the network has no width multiplier.
    """
    if alpha is not None and not architecture.alphas:
        message = f"backbone.alpha is {alpha:g}, but {architecture.name} has no width multiplier. Set it to null."
        raise GraftError(message)
    size = input_size or architecture.input_size
    if size < architecture.smallest:
        message = (
            f"backbone.input_size is {size}; {architecture.name} takes images of at least {architecture.smallest} "
            "pixels."
        )
        raise GraftError(message)
    return size, (alpha or 1.0) if architecture.alphas else None


@cache
def load_architectures() -> dict[str, Architecture]:
    """Return all architectures by name."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {cells["name"]: _parse_row(cells) for cells in csv.DictReader(file)}


def _parse_row(cells: dict[str, Any]) -> Architecture:
    for column in ("input_size", "smallest", "parameters", "parameters_with_top", "width"):
        cells[column] = int(cells[column])
    cells["alphas"] = {float(alpha): text for alpha, _, text in _split_pairs(cells["alphas"])}
    cells["sizes"] = tuple(map(int, cells["sizes"].split()))
    for column in ("hash", "hash_no_top"):
        cells[column] = {float(alpha) if alpha else None: digest for alpha, _, digest in _split_pairs(cells[column])}
    return Architecture(**cells)


def _split_pairs(cell: str) -> list[tuple[str, str, str]]:
    """Split `key=value key=value`; a value without a key has an empty one."""
    return [pair.partition("=") if "=" in pair else ("", "", pair) for pair in cell.split()]
