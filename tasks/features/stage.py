"""The features of a dataset: the vectors that the store lacks are computed, then all are written in order."""

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file, require
from tasks.common.params import Augmentation, Features
from tasks.common.progress import say
from tasks.features.cluster.computation import compute_on_cluster
from tasks.features.cluster.connection import cluster_address
from tasks.features.extractor import compute, make_extractor
from tasks.features.recipe import make_recipe, read_augmentation
from tasks.features.request import Positions, Request, read_request
from tasks.features.stored_vectors import Part, StoredVectors
from tasks.images.sources import image_folder
from tasks.store import Vectors, open_store
from tasks.tables import features

BLOCK_ROWS = 1024
BLOCK_BYTES = 64 << 20
NAME = "features"

Compute = Callable[[Part, Positions], dict[str, str]]


def extract_features(
    images: Path, accepted: Path, backbone: Path, out: Path, params: Features, augmentation: Augmentation
) -> None:
    """Write a vector of every accepted image, and of `params.views` views of training images, to `out`.

    Rows are in manifest order and the same bytes whatever the store held before. Beside `out`, set_aside.csv names the
    images that could no longer be used.

    Raises:
        GraftError: The disk has no room for the result, the store or the cluster cannot be used, or the processor
            cannot compute in `params.precision`.
    """
    images = image_folder(images)
    request, store = read_request(accepted, params.views), open_store(params.store)
    parts = _divide(request, require(backbone, "backbone"), params, augmentation)
    width = parts[0].recipe.width
    _check_disk(len(request), width, out)
    stored = StoredVectors(request, parts, store)

    def compute_here(part: Part, positions: Positions) -> dict[str, str]:
        extractor = make_extractor(images, part.recipe, store, params.batch_size, params.threads)
        return compute(request.workload(positions), extractor, NAME)

    def compute_missing(part: Part, positions: Positions) -> dict[str, str]:
        address = cluster_address(params.cluster)
        if address is None:
            return compute_here(part, positions)
        workload = request.workload(positions)
        refused = compute_on_cluster(
            address, workload, part.recipe, images, store, params.batch_size, params.threads, NAME
        )
        if not refused:
            return {}
        # A worker's copy of the images may be behind: only this machine decides whether they can be used.
        say(f"{NAME}: {len(refused):,} images that workers could not use are tried here")
        in_refused = [path in refused for path in workload.paths]
        return compute_here(part, positions[np.array(in_refused, np.bool_)])

    refused: dict[str, str] = {}
    for number, part in enumerate(parts):
        missing = stored.missing(number)
        say(f"{NAME}: {len(part.positions):,} vectors wanted, {len(part.positions) - len(missing):,} in the store")
        if len(missing):
            refused |= compute_missing(part, missing)
    stored.refresh()
    used = np.array([request.paths[row] not in refused for row in request.image_rows.tolist()], np.bool_)
    features.write(out, width, _blocks(request, np.flatnonzero(used), width, _reader(stored, parts, compute_here)))
    _write_set_aside(out.with_name("set_aside.csv"), refused)
    aside = f", {len(refused):,} images set aside" if refused else ""
    say(f"{NAME}: {used.sum():,} vectors of {width:,} numbers{aside}")


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


def _reader(stored: StoredVectors, parts: list[Part], compute_here: Compute) -> Callable[[Positions], Vectors]:
    """Return a function from positions to vectors; it computes again what turns out to be lost from the store."""

    def read(positions: Positions) -> Vectors:
        vectors, lost = stored.read(positions)
        if not lost.any():
            return vectors
        say(f"{NAME}: {lost.sum():,} vectors were lost from the store and are computed again")
        numbers = stored.part_of(positions)
        for number, part in enumerate(parts):
            lost_positions = positions[lost & (numbers == number)]
            # A repair is small, so it does not go to a cluster.
            if len(lost_positions) and (changed := compute_here(part, lost_positions)):
                message = f"{len(changed):,} images changed while the stage ran. Run it again."
                raise GraftError(message)
        stored.refresh()
        vectors, lost = stored.read(positions)
        if lost.any():
            message = "the feature store loses vectors while they are read. Set features.store to another location."
            raise GraftError(message)
        return vectors

    return read


def _blocks(
    request: Request, positions: Positions, width: int, read: Callable[[Positions], Vectors]
) -> Iterator[features.Block]:
    rows_per_block = max(1, min(BLOCK_ROWS, BLOCK_BYTES // (4 * width)))
    for start in range(0, len(positions), rows_per_block):
        block = positions[start : start + rows_per_block]
        rows = request.image_rows[block].tolist()
        paths, labels, splits = (
            [column[row] for row in rows] for column in (request.paths, request.labels, request.splits)
        )
        yield features.Block(paths, labels, splits, request.keys.views[block], read(block))


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
