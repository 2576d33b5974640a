"""From images and a base to the features of a dataset: what the store lacks is computed, then all is put in order."""

import csv
import shutil
from pathlib import Path

import numpy as np
import onnx

from tasks.common.errors import GraftError
from tasks.common.files import atomic_file, require
from tasks.common.params import Augmentation, Features
from tasks.common.progress import say
from tasks.features import recipe, table
from tasks.features.cluster import shards
from tasks.features.recipe import Means, Work
from tasks.features.request import Places, Wanted, wanted
from tasks.features.store import Store
from tasks.features.table import Part


def extract(
    images: Path, manifest: Path, backbone: Path, out: Path, params: Features, augmentation: Augmentation
) -> None:
    """Write path, label, split, view and features (float32 [D]) of every accepted image to `out`, in manifest order.

    Training images have `params.views` views. Beside `out`, set_aside.csv names images that could no longer be used.
    Raises GraftError when there is no room for the result.
    """
    need, store = wanted(manifest, params.views), Store(recipe.where(params.store))
    means = Means(images, store, params.batch_size, params.threads, "features")
    parts = _parts(need, backbone, params, augmentation)
    width = sum(tap.width for tap in parts[0].setting.taps)
    _announce(len(need), width, out)
    refused: dict[str, str] = {}
    for part in parts:
        lacking = recipe.missing(store, part.setting, need, part.places)
        say(f"features: {len(part.places):,} vectors wanted, {len(part.places) - len(lacking):,} in the store")
        refused |= _fill(part, lacking, need, means, params.cluster)

    def repair(part: Part, lost: Places) -> None:
        say(f"features: {len(lost):,} vectors were lost from the store and are computed again")
        # Few, and here: not worth a cluster.
        if gone := recipe.compute(Work(need, lost), part.setting, means):
            message = f"{len(gone):,} images changed while the stage ran. Run it again."
            raise GraftError(message)

    kept = np.array([need.paths[row] not in refused for row in need.rows.tolist()], np.bool_)
    table.write(out, need, np.flatnonzero(kept), parts, store, repair)
    with (
        atomic_file(out.with_name("set_aside.csv")) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["path", "reason"])
        writer.writerows(sorted(refused.items()))
    aside = f", {len(refused):,} images set aside" if refused else ""
    say(f"features: {kept.sum():,} vectors of {width:,} numbers{aside}")


def _parts(need: Wanted, backbone: Path, params: Features, augmentation: Augmentation) -> list[Part]:
    """Return the ways in which the vectors are computed.

    What validates and tests a head is what is served, float32 by ONNX Runtime: another precision is for training alone.
    """
    if params.runtime == "onnxruntime" and params.precision != "float32":
        message = f"features.precision is {params.precision}; onnxruntime is float32. Set features.runtime to openvino."
        raise GraftError(message)
    model = onnx.load(require(backbone, "backbone"))
    views = recipe.views(augmentation)
    served = recipe.setting(model, views, "onnxruntime", "float32")
    if (params.runtime, params.precision) == ("onnxruntime", "float32"):
        return [Part(np.arange(len(need)), served)]
    if params.precision == "int8":
        trained = recipe.setting(model, views, params.runtime, params.precision)
    else:
        trained = served.run_by(params.runtime, params.precision)
    train = need.of_split("train")
    return [Part(np.flatnonzero(train), trained), Part(np.flatnonzero(~train), served)]


def _fill(part: Part, places: Places, need: Wanted, means: Means, name: str | None) -> dict[str, str]:
    """Compute the vectors at these places into the store, on the cluster of that name; return what was refused."""
    if not len(places):
        return {}
    work = Work(need, places)
    if address := shards.where(name):
        return shards.compute(address, work, part.setting, means)
    return recipe.compute(work, part.setting, means)


def _announce(count: int, width: int, out: Path) -> None:
    """Say how large the result is going to be; raises GraftError when it does not fit."""
    size = count * width * 4
    out.parent.mkdir(parents=True, exist_ok=True)
    say(f"features: {count:,} vectors of {width:,} numbers, {size / 1e6:,.1f} MB on disk")
    free = shutil.disk_usage(out.parent).free
    if size > free:
        message = (
            f"features of {count:,} vectors take {size / 1e9:,.1f} GB, but {out.parent} has {free / 1e9:,.1f} GB free. "
            "Make room, set backbone.pooling to avg, or take fewer features.views."
        )
        raise GraftError(message)
