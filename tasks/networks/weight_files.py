"""HDF5 files of Keras weights from elsewhere: what they hold, told before a value is read.

Keras has two layouts, told apart here by the content, not by the file's name. The older one, of keras.applications,
lists layers by name and loads them in order; Keras 3's own has a path for each layer and no list.
"""

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from tasks.common.errors import GraftError

# The largest network of keras.applications has some 5,000 groups and datasets, and 64 kB of names in an attribute.
MOST_OBJECTS = 100_000
TOO_MANY = f"holds more than {MOST_OBJECTS:,} groups, datasets and weights"
MOST_NAMES_BYTES = 1 << 20
# HDF5 reads whole chunks: one that is larger than its dataset takes memory that no shape tells of.
LARGEST_IDLE_CHUNK = 1 << 20
LONGEST_NAME = 100
# What training leaves in a file: the state of the optimizer, and in files of Keras 2 the metrics.
PASSED_OVER = ("optimizer/", "metrics/")
# HDF5 1.14 never comes back from some damaged strings in attributes, and asks for 4 GB for others. Another process,
# which can be stopped, tries them first. Keras 3's layout is read without any.
REHEARSAL = """import sys, h5py
def read(_, one): [*one.attrs.values()]
with h5py.File(sys.argv[1], "r") as file: read("/", file), file.visititems(read)"""
REHEARSAL_SECONDS = 60


class Layer(NamedTuple):
    """A layer and its weights, variables or datasets. `key` is None where it would be a name that Keras counted up."""

    key: str | None
    name: str
    weights: list[Any]


class Stored(NamedTuple):
    """The layers of a file; in the older layout they are `in_order`, so that layers without a key can be matched."""

    layers: list[Layer]
    in_order: bool


@contextmanager
def open_weights(path: Path) -> Iterator[Stored]:
    """Open a file and list its layers; raises GraftError when it is damaged, links outside itself or is no weights."""
    with _reading(path):
        file = h5py.File(path, "r")
    with file:
        with _reading(path):
            stored = _stored(file, path)
        yield stored


def read_weight(path: Path, dataset: h5py.Dataset, dtype: str, layer: str) -> npt.NDArray[Any]:
    """Read a weight of that layer, in its shape; raises GraftError when it is damaged or not finite in that dtype."""
    with _reading(path):
        raw = np.asarray(dataset[()])
    with np.errstate(over="ignore", invalid="ignore"):
        found = raw.astype(dtype)
    if not (np.isfinite(raw).all() and np.isfinite(found).all()):
        raise _refused(path, f"holds NaN or infinity in layer {quoted(layer)}")
    return found


def quoted(name: str) -> str:
    """Return a name from a file between quotes, in one line that can be printed."""
    return repr(name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "...")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what h5py raises for a damaged file, any of these as was seen, into one line."""
    try:
        yield
    except (KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError, subprocess.SubprocessError) as error:
        message = f"{path} is not a readable HDF5 file. Expected Keras weights (.h5); fetch or copy the file again."
        raise GraftError(message) from error


def _stored(file: h5py.File, path: Path) -> Stored:
    datasets = list(_datasets(file, path))
    # A whole model of the older layout keeps its weights one level down, beside the optimizer's.
    inner = file.get("model_weights")
    root = inner if isinstance(inner, h5py.Group) and not _pieces(file, "layer_names") else file
    if not _pieces(root, "layer_names"):
        return Stored(_layers_by_path(datasets), in_order=False)
    command = [sys.executable, "-I", "-c", REHEARSAL, str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=REHEARSAL_SECONDS)
    return Stored(_listed_layers(root, path), in_order=True)


def _datasets(file: h5py.File, path: Path) -> Iterator[h5py.Dataset]:
    """Yield all datasets of a file; raises GraftError for what leads out of it and for what is not plain numbers."""
    pending: list[h5py.Group] = [file]
    seen, objects = set(), 0
    while pending:
        group = pending.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        objects += len(group)
        if objects > MOST_OBJECTS:
            raise _refused(path, TOO_MANY)
        for key in group:
            name = f"{group.name.rstrip('/')}/{key}"
            if not isinstance(group.get(key, h5py.HardLink(), getlink=True), h5py.HardLink):
                raise _refused(path, f"holds a link at {quoted(name)}")
            child = group[key]
            if isinstance(child, h5py.Group):
                pending.append(child)
            elif objection := _objection(child):
                raise _refused(path, objection.format(quoted(name)))
            else:
                yield child


def _objection(child: Any) -> str:
    if not isinstance(child, h5py.Dataset) or child.dtype.kind not in "fiu" or child.shape is None:
        return "holds something other than numbers at {}"
    if child.external or child.is_virtual:
        return "stores {} in another file"
    if child.chunks and math.prod(child.chunks) * child.dtype.itemsize > max(child.nbytes, LARGEST_IDLE_CHUNK):
        return "stores {} in chunks larger than itself"
    return ""


def _listed_layers(root: h5py.Group, path: Path) -> list[Layer]:
    """Return the layers with weights of the older layout, in its order."""
    layers, objects = [], 0
    own = {"top_level_model_weights"} & root.keys()
    for name in [*_words(root, "layer_names", path), *own]:
        group = _listed(root, name, h5py.Group, path)
        words = _words(group, "weight_names", path)
        objects += len(words)
        if objects > MOST_OBJECTS:  # many names may lead to one group
            raise _refused(path, TOO_MANY)
        if words:
            # Keras 2 allowed names such as 'conv1/bn', which Keras 3 writes 'conv1_bn'.
            datasets = [_listed(group, word, h5py.Dataset, path) for word in words]
            layers.append(Layer(name.replace("/", "_"), name, datasets))
    return layers


def _layers_by_path(datasets: list[h5py.Dataset]) -> list[Layer]:
    """Return the layers of Keras 3's layout, where LAYER/vars/NUMBER is a weight of LAYER; others stand alone."""
    layers: dict[str, Layer] = {}
    # The numbers are names: '10' comes after '2' for being longer.
    for dataset in sorted(datasets, key=lambda one: (len(one.name), one.name)):
        # tf.keras 2.13 called the list of layers otherwise.
        key = dataset.name.strip("/").replace("_layer_checkpoint_dependencies", "layers")
        if key.startswith(PASSED_OVER):
            continue
        if inside := re.fullmatch(r"(?:(.+)/)?vars/[^/]+", key):
            key = inside[1] or ""
        layers.setdefault(key, Layer(key, key or "vars", [])).weights.append(dataset)
    return list(layers.values())


def _listed(group: h5py.Group, name: str, kind: type, path: Path) -> Any:
    child = group.get(name)
    if not isinstance(child, kind):
        raise _refused(path, f"lists {quoted(name)} but does not hold it")
    return child


def _pieces(group: h5py.Group, name: str) -> list[str]:
    """Return the names of an attribute's pieces: Keras cuts one that is too long for HDF5 into NAME0, NAME1, ..."""
    pieces = [name] if name in group.attrs else (f"{name}{number}" for number in count())
    return list(takewhile(group.attrs.__contains__, pieces))


def _words(group: h5py.Group, name: str, path: Path) -> list[str]:
    """Return the strings of an attribute; raises GraftError when it holds other things, too many or one twice."""
    words: list[str] = []
    for piece in _pieces(group, name):
        held = group.attrs.get_id(piece)
        size = math.prod(held.shape) * held.dtype.itemsize
        if size == 0:  # Keras writes an empty list as one of numbers
            continue
        if h5py.check_string_dtype(held.dtype) is None or size > MOST_NAMES_BYTES:
            raise _refused(path, f"holds something other than names in {quoted(piece)}")
        found = np.ravel(group.attrs[piece]).tolist()
        words += [word.decode(errors="replace") if isinstance(word, bytes) else word for word in found]
    if len({word.replace("/", "_") for word in words}) < len(words):
        raise _refused(path, f"lists a name twice in {quoted(name)}")
    return words


def _refused(path: Path, reason: str) -> GraftError:
    return GraftError(f"{path} {reason}, which is refused. Use a file without.")
