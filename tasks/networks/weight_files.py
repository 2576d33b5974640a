"""HDF5 files of Keras weights: the layers of a file and their weights, listed before a value is read.

Keras has two layouts. The older layout, that of keras.applications, lists layers by name and loads them in order;
Keras 3's has a path for each layer and no list. The content decides which layout a file has, not the file's name.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from tasks.networks import hdf5

# Training leaves the state of the optimizer in a file, and Keras 2 the metrics too.
NO_WEIGHTS = ("optimizer/", "metrics/")
ATTRIBUTE_SECONDS = 60.0


class Layer(NamedTuple):
    """A layer and its weights: variables of a model, or datasets of a file.

    `key` identifies the layer in both; it is None where it would be a name that Keras counts up (`conv2d_3`).
    """

    key: str | None
    name: str
    weights: list[Any]


class StoredLayers(NamedTuple):
    """The layers of a file; in the older layout they are `in_order`, so that layers without a key can be matched."""

    layers: list[Layer]
    in_order: bool


@contextmanager
def open_weights(path: Path, seconds: float = ATTRIBUTE_SECONDS) -> Iterator[StoredLayers]:
    """Open a file and list its layers.

    `seconds` limits the check of the older layout's attributes, which are read in a process of their own.
    Raises GraftError when the file is damaged, has links or data in other files, or holds anything but weights.
    """
    with hdf5.checked(path):
        file = h5py.File(path, "r")
    with file:
        with hdf5.checked(path):
            stored = _list_layers(file, path, seconds)
        yield stored


def read_weight(path: Path, dataset: h5py.Dataset, dtype: str, layer: str, weight: str) -> npt.NDArray[Any]:
    """Return the weight called `weight` of the layer called `layer`, in its shape and cast to `dtype`.

    Raises GraftError when the values are damaged or, in the file or cast, not finite.
    """
    with hdf5.checked(path):
        raw = np.asarray(dataset[()])
    with np.errstate(over="ignore", invalid="ignore"):
        values = raw.astype(dtype)
    if not (np.isfinite(raw).all() and np.isfinite(values).all()):
        raise hdf5.refusal(path, f"holds NaN or infinity in {hdf5.quoted(weight)} of layer {hdf5.quoted(layer)}")
    return values


def _list_layers(file: h5py.File, path: Path, seconds: float) -> StoredLayers:
    datasets = list(hdf5.walk_datasets(file))
    # A whole model in the older layout keeps its weights in a group beside the optimizer's.
    inner = file.get("model_weights")
    root = inner if isinstance(inner, h5py.Group) and not hdf5.has_names(file, "layer_names") else file
    if not hdf5.has_names(root, "layer_names"):
        return StoredLayers(_layers_by_path(datasets), in_order=False)
    hdf5.check_attributes(path, seconds)
    return StoredLayers(_layers_in_order(root), in_order=True)


def _layers_in_order(root: h5py.Group) -> list[Layer]:
    """Return the layers with weights of the older layout, in its order."""
    listed: list[tuple[str, h5py.Group, list[str]]] = []
    objects = 0
    model_itself = {"top_level_model_weights"} & root.keys()
    for name in [*hdf5.read_names(root, "layer_names"), *model_itself]:
        group = hdf5.get_child(root, name, h5py.Group)
        weight_names = hdf5.read_names(group, "weight_names")
        objects += len(weight_names)
        hdf5.check_count(objects)  # again, for many names may lead to one group
        if weight_names:
            listed.append((name, group, weight_names))
    return [
        # Keras 2 allowed names such as 'conv1/bn', which Keras 3 writes 'conv1_bn'.
        Layer(name.replace("/", "_"), name, [hdf5.get_child(group, weight, h5py.Dataset) for weight in weight_names])
        for name, group, weight_names in listed
    ]


def _layers_by_path(datasets: Iterable[h5py.Dataset]) -> list[Layer]:
    """Return the layers of Keras 3's layout, where LAYER/vars/NUMBER is a weight; other datasets stand alone."""
    layers: dict[str, Layer] = {}
    # Numbers are strings here: '10' comes after '2' because it is longer.
    for dataset in sorted(datasets, key=lambda dataset: (len(dataset.name), dataset.name)):
        # tf.keras 2.13 used another name for the list of layers.
        key = dataset.name.strip("/").replace("_layer_checkpoint_dependencies", "layers")
        if key.startswith(NO_WEIGHTS):
            continue
        if weight := re.fullmatch(r"(?:(.+)/)?vars/[^/]+", key):
            key = weight[1] or ""
        layers.setdefault(key, Layer(key, key or "vars", [])).weights.append(dataset)
    return list(layers.values())
