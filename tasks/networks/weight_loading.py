"""Load the weights of an HDF5 file into a model: match its layers to the file's layers, and load all or nothing.

Keras notices a layer that does not fit when it has loaded half of the file, and ignores surplus layers in its own
layout. Therefore each variable is paired with a dataset first, and only then are the values read and assigned.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import keras
from keras.src.saving.saving_lib import H5IOStore, _save_state
from keras.src.utils.naming import to_snake_case

from tasks.common.errors import GraftError
from tasks.networks.hdf5 import quoted
from tasks.networks.weight_files import Layer, StoredLayers, open_weights, read_weight

MAX_LISTED = 3


def load_weights(model: keras.Model, path: Path) -> None:
    """Load all weights from an HDF5 file in keras.applications' layout or Keras 3's.

    Raises GraftError, and leaves the model as it was, when the file is not HDF5, has links, does not fit the
    architecture, or holds NaN or infinity.
    """
    with open_weights(path) as stored:
        pairs, problems = _match(_layers_in_order(model) if stored.in_order else _layers_by_path(model), stored)
        if problems:
            message = (
                f"{path} does not fit {model.name} ({model.count_params():,} parameters): {'; '.join(problems)}. "
                "Use the file made for this network, of keras.applications the one without top, "
                "or change backbone.name or backbone.alpha."
            )
            raise GraftError(message)
        assignments = [
            (variable, read_weight(path, dataset, variable.dtype, ours.name, variable.name))
            for ours, theirs in pairs
            for variable, dataset in zip(ours.weights, theirs.weights, strict=True)
        ]
    for variable, values in assignments:
        variable.assign(values)
    refresh(model.layers)


def refresh(layers: Iterable[keras.layers.Layer]) -> None:
    """Let layers that derive values from their weights, as Normalization does, derive them again."""
    for layer in layers:
        if isinstance(layer, keras.Model):
            refresh(layer.layers)
        elif layer.weights and hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _match(expected: list[Layer], stored: StoredLayers) -> tuple[list[tuple[Layer, Layer]], list[str]]:
    """Pair the layers of a model with those of a file: by key, and the rest in order, as Keras does.

    Returns the pairs, and the reasons why the file does not fit; without reasons, every layer has its pair.
    """
    by_key = {layer.key: layer for layer in stored.layers}
    shared = by_key.keys() & {layer.key for layer in expected}
    ours_left = [layer for layer in expected if layer.key not in shared]
    theirs_left = [layer for layer in stored.layers if layer.key not in shared]
    problems = []
    if stored.in_order and len(ours_left) == len(theirs_left):
        following = iter(theirs_left)
        pairs = [(layer, by_key[layer.key] if layer.key in shared else next(following)) for layer in expected]
    else:
        pairs = [(layer, by_key[layer.key]) for layer in expected if layer.key in shared]
        numbered = {_stem(layer.name) for layer in ours_left if layer.key is None}
        ours, theirs = (Counter(_kind(layer, numbered) for layer in layers) for layers in (ours_left, theirs_left))
        names = {layer.key: layer.name for layer in expected}
        if lacking := [names.get(kind, kind) for kind in (ours - theirs).elements()]:
            problems.append(f"it lacks {_list_names(lacking)}")
        if surplus := [*(theirs - ours).elements()]:
            problems.append(f"there is no place for its {_list_names(surplus)}")
    positions = {id(layer): f"{number} of {len(expected)}" for number, layer in enumerate(expected, 1)}
    if misfits := [text for ours, theirs in pairs if (text := _misfit(ours, theirs, positions[id(ours)]))]:
        problems.append(misfits[0] + _more(misfits, 1))
    return pairs, problems


def _kind(layer: Layer, numbered: set[str]) -> str:
    """Return what layers of two lists are compared by: the key, or the name without its number where Keras counts."""
    stem = _stem(layer.name)
    return stem if layer.key is None or stem in numbered else layer.key


def _misfit(ours: Layer, theirs: Layer, position: str) -> str:
    """Return the difference between a layer and its pair in the file; empty when it fits."""
    subject = f"layer {quoted(ours.name)}"
    if ours.key != theirs.key and ours.name != theirs.name:
        subject = f"layer {position}, {quoted(ours.name)} ({quoted(theirs.name)} in the file),"
    names = [variable.path.rpartition(f"{ours.name}/")[2] for variable in ours.weights]
    if len(ours.weights) != len(theirs.weights):
        return f"{subject} expects {len(ours.weights)} weights ({', '.join(names)}), found {len(theirs.weights)}"
    for name, variable, dataset in zip(names, ours.weights, theirs.weights, strict=True):
        if tuple(variable.shape) != dataset.shape:
            return f"{subject} expects {name} {tuple(variable.shape)}, found {dataset.shape}"
    return ""


def _list_names(names: list[str]) -> str:
    return f"layer{'s' * (len(names) > 1)} {', '.join(map(quoted, names[:MAX_LISTED]))}{_more(names, MAX_LISTED)}"


def _more(items: list[str], listed: int) -> str:
    return f" (and {len(items) - listed:,} more)" if len(items) > listed else ""


def _stem(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


class _VariableCollector(H5IOStore):
    """A store that Keras saves a model into to show which path each layer has in its own layout; it writes nothing."""

    def __init__(self) -> None:
        self.layers: list[tuple[str, str, dict[str, keras.Variable]]] = []

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: dict[str, str] | None = None) -> dict[str, keras.Variable]:
        """Return the dictionary that a layer puts its variables into."""
        variables: dict[str, keras.Variable] = {}
        self.layers.append((path, (metadata or {}).get("name", path), variables))
        return variables


def _layers_by_path(model: keras.Model) -> list[Layer]:
    """Return the layers with weights as Keras's own layout has them."""
    store = _VariableCollector()
    _save_state(model, store, None, inner_path="", visited_saveables={id(getattr(model, "optimizer", None))})
    return [Layer(path, name, list(weights.values())) for path, name, weights in store.layers if weights]


def _layers_in_order(model: keras.Model) -> list[Layer]:
    """Return the layers with weights as the older layout has them: in order, trainable weights first."""
    layers = []
    for layer in model.layers:
        if weights := [*layer.trainable_weights, *layer.non_trainable_weights]:
            numbered = _stem(layer.name) == to_snake_case(type(layer).__name__)
            layers.append(Layer(None if numbered else layer.name, layer.name, weights))
    return layers
