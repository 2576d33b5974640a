"""The features of a dataset: the vectors that the store lacks are computed, then all are written in order."""

import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file, require
from tasks.common.params import Augmentation, Features
from tasks.common.progress import say
from tasks.common.text import printable
from tasks.extraction.recipe import make_recipe, read_augmentation
from tasks.extraction.request import Positions, Request, read_request
from tasks.extraction.stored_vectors import Part
from tasks.extraction.vectors import extract
from tasks.images.sources import image_folder
from tasks.store import Vectors, open_store
from tasks.tables import features

BLOCK_ROWS = 1024
BLOCK_BYTES = 64 << 20
NAME = "features"


def extract_features(
    images: Path, accepted: Path, backbone: Path, out: Path, params: Features, augmentation: Augmentation
) -> None:
    """Write a vector of every accepted image, and of `params.views` views of training images, to `out`.

    Rows are in manifest order and the same bytes whatever the store held before. Beside `out`, set_aside.csv names the
    images that could no longer be used.

    Raises:
        GraftError: The disk has no room for the result, the store or the cluster cannot be used, the processor cannot
            compute in `params.precision`, or features are not finite.
    """
    images = image_folder(images)
    request, store = read_request(accepted, params.views), open_store(params.store)
    parts = _divide(request, require(backbone, "backbone"), params, augmentation)
    recipe = parts[0].recipe
    _check_disk(len(request), recipe.width, out)
    extraction = extract(images, request, parts, store, params, NAME)
    positions = np.flatnonzero(extraction.used)
    taps = [features.Tap(tap.layer, tap.width, tap.depth) for tap in recipe.taps]
    features.write(out, taps, _blocks(request, positions, taps, extraction.read))
    _write_set_aside(out.with_name("set_aside.csv"), extraction.refused)
    aside = f", {len(extraction.refused):,} images set aside" if extraction.refused else ""
    say(f"{NAME}: {len(positions):,} vectors of {recipe.width:,} numbers{aside}")


def _divide(request: Request, backbone: Path, params: Features, augmentation: Augmentation) -> list[Part]:
    """Return the recipes of the request, each with its vectors.

    Validation and test vectors are always those that are served, in float32 by ONNX Runtime. Another runtime or
    precision is for training vectors alone, as is decoding at a reduced scale.
    """
    if params.runtime == "onnxruntime" and params.precision != "float32":
        message = f"features.precision is {params.precision}; onnxruntime is float32. Set features.runtime to openvino."
        raise GraftError(message)
    model = onnx.load(backbone)
    views = read_augmentation(augmentation)
    served = make_recipe(model, views, "onnxruntime", "float32")
    if (params.runtime, params.precision) == ("onnxruntime", "float32"):
        return [Part(np.arange(len(request)), served)]
    for_training = make_recipe(model, views, params.runtime, params.precision)
    return [Part(np.flatnonzero(request.scaled), for_training), Part(np.flatnonzero(~request.scaled), served)]


def _blocks(
    request: Request, positions: Positions, taps: Sequence[features.Tap], read: Callable[[Positions], Vectors]
) -> Iterator[features.Block]:
    width = sum(tap.width for tap in taps)
    rows_per_block = max(1, min(BLOCK_ROWS, BLOCK_BYTES // (4 * width)))
    for start in range(0, len(positions), rows_per_block):
        block = positions[start : start + rows_per_block]
        rows = request.image_rows[block].tolist()
        paths, labels, splits = (
            [column[row] for row in rows] for column in (request.paths, request.labels, request.splits)
        )
        vectors = read(block)
        _check_finite(vectors, paths, taps)
        yield features.Block(paths, labels, splits, request.keys.views[block], vectors)


def _check_finite(vectors: Vectors, paths: Sequence[str], taps: Sequence[features.Tap]) -> None:
    """Raise a GraftError that names the first image, and the lowest tap, whose features are not finite."""
    rows, columns = np.nonzero(~np.isfinite(vectors))
    if len(rows):
        ends = np.cumsum([tap.width for tap in taps])
        layer = taps[int(np.searchsorted(ends, columns[0], side="right"))].layer
        value = vectors[rows[0], columns[0]]
        message = (
            f"the features of {printable(paths[rows[0]])} at '{layer}' are not finite ({value}). "
            "Take the image out of the dataset, or use other weights."
        )
        raise GraftError(message)


def _check_disk(count: int, width: int, out: Path) -> None:
    """Say how large the result is going to be; raises GraftError when it does not fit on the disk."""
    size = count * width * 4
    out.parent.mkdir(parents=True, exist_ok=True)
    say(f"{NAME}: {count:,} vectors of {width:,} numbers, {size / 1e6:,.1f} MB on disk")
    free = shutil.disk_usage(out.parent).free
    if size > free:
        message = (
            f"features of {count:,} vectors take {size / 1e9:,.1f} GB, but {out.parent} has {free / 1e9:,.1f} GB free. "
            "Make room, set backbone.pooling to avg, or take fewer features.views."
        )
        raise GraftError(message)


def _write_set_aside(path: Path, refused: dict[str, str]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "reason"])
        writer.writerows(sorted(refused.items()))
