"""Activations at the cut: computed once by the extraction engine, kept in the feature store, and read from a file.

They are vectors like any other: an ONNX graph up to the cut, without pooling, runs over the images and their views.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx

from tasks.common.errors import GraftError
from tasks.common.files import cache_folder
from tasks.common.params import Features
from tasks.common.progress import say, track
from tasks.extraction.recipe import Augmentation, Recipe, make_recipe
from tasks.extraction.request import Positions, Request
from tasks.extraction.stored_vectors import Part, StoredVectors
from tasks.extraction.vectors import extract
from tasks.finetuning.batches import Floats
from tasks.networks.conversion.keras_to_onnx import convert_base
from tasks.onnx import graphs
from tasks.onnx.resize import resize_from_json
from tasks.store import Store, Vectors

BLOCK_BYTES = 64 << 20
NAME = "finetuning"


def boundary_recipe(
    lower: keras.Model, facts: dict[str, Any], backbone: onnx.ModelProto, views: Augmentation
) -> Recipe:
    """Return the recipe of the activations at the last layer of `lower`, flattened, in float32 by ONNX Runtime.

    `facts` are those of backbone.json, and `backbone` is the graph whose images are resized and described alike.
    """
    model = convert_base(lower, resize_from_json(facts["resize"]), facts["mode"], "none")
    graphs.set_metadata(model, graphs.metadata(backbone) | graphs.metadata(model))
    return make_recipe(model, views, "onnxruntime", "float32")


def read_activations(
    images: Path, request: Request, recipe: Recipe, store: Store, params: Features, shape: tuple[int, ...]
) -> Floats:
    """Return the activations of the request, float32 [n, *shape], in a file that vanishes with the process.

    Those that the store lacks are computed. The needed space is announced.

    Raises:
        GraftError: The disk has no room, an image can no longer be used, or activations are not finite.
    """
    part = Part(np.arange(len(request)), recipe)
    missing = StoredVectors(request, [part], store).missing(0)
    scratch = cache_folder() / NAME
    scratch.mkdir(parents=True, exist_ok=True)
    _check_disk(len(request), len(missing), recipe, store, scratch)
    extraction = extract(images, request, [part], store, params, f"{NAME}: boundary")
    for path, reason in extraction.refused.items():
        message = f"{images / path} {reason}. Run `dvc repro` to scan the images again."
        raise GraftError(message)
    # The file has no name, so nothing is left of it however the process ends.
    with tempfile.TemporaryFile(dir=scratch) as file:
        activations: Floats = np.memmap(file, np.float32, "w+", shape=(len(request), *shape))
    _copy(extraction.read, request, recipe, activations)
    return activations


def _copy(read: Callable[[Positions], Vectors], request: Request, recipe: Recipe, activations: Floats) -> None:
    block = max(1, BLOCK_BYTES // (4 * recipe.width))
    starts = range(0, len(request), block)
    for start in track(starts, len(starts), f"{NAME}: reading activations", "blocks"):
        positions = np.arange(start, min(start + block, len(request)))
        vectors = read(positions)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            path = request.paths[request.image_rows[positions[~finite][0]]]
            message = (
                f"the activations of {path} at finetuning.cut '{recipe.taps[0].layer}' are not finite. "
                "Choose another cut, or check the backbone's weights."
            )
            raise GraftError(message)
        activations[positions] = vectors.reshape(-1, *activations.shape[1:])


def _check_disk(count: int, missing: int, recipe: Recipe, store: Store, scratch: Path) -> None:
    """Say how much space the activations take; raises GraftError when the disk has less."""
    row = 4 * recipe.width
    say(
        f"{NAME}: activations at '{recipe.taps[0].layer}' of {count:,} views take {count * row / 1e6:,.1f} MB in a "
        f"file while training, and {missing * row / 1e6:,.1f} MB more in the feature store"
    )
    needs = [(scratch, count * row)]
    if missing and "://" not in store.name:
        needs.append((_existing(Path(store.name)), missing * row))
    devices = {folder.stat().st_dev for folder, _ in needs}
    if len(devices) == 1:
        needs = [(scratch, sum(size for _, size in needs))]
    for folder, size in needs:
        free = shutil.disk_usage(folder).free
        if size > free:
            message = (
                f"fine-tuning from finetuning.cut '{recipe.taps[0].layer}' needs {size / 1e9:,.1f} GB for activations, "
                f"but {folder} has {free / 1e9:,.1f} GB free. Make room, choose a higher cut, take fewer "
                "features.views, or set finetuning.live to true."
            )
            raise GraftError(message)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
