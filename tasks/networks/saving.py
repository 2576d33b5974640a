"""Keras models as two plain files: architecture as JSON, weights as HDF5.

A `.keras` archive carries timestamps and may run code when it is loaded; these two do neither.
"""

import json
import re
from collections import Counter
from pathlib import Path

import keras
from keras.src.saving.saving_lib import H5IOStore, _save_state
from keras.src.utils.naming import to_snake_case

from tasks.common.errors import GraftError
from tasks.networks import weight_files
from tasks.networks.weight_files import Layer, Stored, quoted

NAMES_TOLD = 3


def save(model: keras.Model, folder: Path, name: str) -> None:
    """Write `name`.json and `name`.weights.h5, the same bytes for the same model."""
    folder.mkdir(parents=True, exist_ok=True)
    # A trained model's description names its optimizer, and its file would hold the optimizer's state.
    architecture = json.loads(model.to_json())
    architecture.pop("compile_config", None)
    text = json.dumps(architecture, indent=1, sort_keys=True) + "\n"
    (folder / f"{name}.json").write_text(text, encoding="utf-8")
    copy = keras.models.model_from_json(text)
    copy.set_weights(model.get_weights())
    copy.save_weights(folder / f"{name}.weights.h5", overwrite=True)


def load(folder: Path, name: str) -> keras.Model:
    """Rebuild the model that `save` wrote."""
    model = keras.models.model_from_json((folder / f"{name}.json").read_text(encoding="utf-8"))
    load_weights(model, folder / f"{name}.weights.h5")
    return model


def load_weights(model: keras.Model, path: Path) -> None:
    """Load all weights from an HDF5 file, in keras.applications' layout or Keras 3's, or none of them.

    Raises GraftError, and leaves the model as it was, when the file is no HDF5, links outside itself, does not fit the
    architecture, or holds NaN.
    """
    # Keras finds out what does not fit when it has loaded half, and in its own layout passes over what is too much.
    # So each dataset is given a variable first, and what they hold is assigned here.
    with weight_files.open_weights(path) as stored:
        pairs, reasons = _matched(_in_order(model) if stored.in_order else _by_path(model), stored)
        if reasons:
            message = (
                f"{path} does not fit {model.name} ({model.count_params():,} parameters): {'; '.join(reasons)}. "
                "Use the file made for this network, of keras.applications the one without top, "
                "or change backbone.name or backbone.alpha."
            )
            raise GraftError(message)
        found = [
            (variable, weight_files.read_weight(path, dataset, variable.dtype, layer.name))
            for layer, other in pairs
            for variable, dataset in zip(layer.weights, other.weights, strict=True)
        ]
    for variable, values in found:
        variable.assign(values)
    _settle(model)


def _matched(expected: list[Layer], stored: Stored) -> tuple[list[tuple[Layer, Layer]], list[str]]:
    """Pair the layers of a network with those of a file: by key, and what is left in order, as Keras does.

    Returns the pairs, and the reasons why they do not fit; where there is none, every layer has its pair.
    """
    by_key = {layer.key: layer for layer in stored.layers}
    known = by_key.keys() & {layer.key for layer in expected}
    left = [layer for layer in expected if layer.key not in known]
    over = [layer for layer in stored.layers if layer.key not in known]
    reasons = []
    if stored.in_order and len(left) == len(over):
        following = iter(over)
        pairs = [(layer, by_key[layer.key] if layer.key in known else next(following)) for layer in expected]
    else:
        pairs = [(layer, by_key[layer.key]) for layer in expected if layer.key in known]
        counted = {_stem(layer.name) for layer in left if layer.key is None}
        ours, theirs = (Counter(_kind(layer, counted) for layer in layers) for layers in (left, over))
        names = {layer.key: layer.name for layer in expected}
        if lacking := [names.get(kind, kind) for kind in (ours - theirs).elements()]:
            reasons.append(f"it lacks {_listed(lacking)}")
        if surplus := [*(theirs - ours).elements()]:
            reasons.append(f"there is no place for its {_listed(surplus)}")
    places = {id(layer): f"{number} of {len(expected)}" for number, layer in enumerate(expected, 1)}
    if misfits := [text for ours, theirs in pairs if (text := _misfit(ours, theirs, places[id(ours)]))]:
        reasons.append(misfits[0] + _more(misfits, 1))
    return pairs, reasons


def _kind(layer: Layer, counted: set[str]) -> str:
    """Return what makes layers of two lists alike: the key, or the name without its number where Keras counted."""
    stem = _stem(layer.name)
    return stem if layer.key is None or stem in counted else layer.key


def _misfit(ours: Layer, theirs: Layer, place: str) -> str:
    """Return how a layer differs from its pair in the file; empty when it fits."""
    where = f"layer {quoted(ours.name)}"
    if ours.key != theirs.key and ours.name != theirs.name:
        where = f"layer {place}, {quoted(ours.name)} ({quoted(theirs.name)} in the file),"
    names = [variable.path.rpartition(f"{ours.name}/")[2] for variable in ours.weights]
    if len(ours.weights) != len(theirs.weights):
        return f"{where} expects {len(ours.weights)} weights ({', '.join(names)}), found {len(theirs.weights)}"
    for name, variable, dataset in zip(names, ours.weights, theirs.weights, strict=True):
        if tuple(variable.shape) != dataset.shape:
            return f"{where} expects {name} {tuple(variable.shape)}, found {dataset.shape}"
    return ""


def _listed(names: list[str]) -> str:
    return f"layer{'s' * (len(names) > 1)} {', '.join(map(quoted, names[:NAMES_TOLD]))}{_more(names, NAMES_TOLD)}"


def _more(items: list[str], told: int) -> str:
    return f" (and {len(items) - told:,} more)" if len(items) > told else ""


def _stem(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


class _Places(H5IOStore):
    """Where Keras's own layout has each variable of a model: Keras saves into this, and nothing is written."""

    def __init__(self) -> None:
        self.layers: list[tuple[str, str, dict[str, keras.Variable]]] = []

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: dict[str, str] | None = None) -> dict[str, keras.Variable]:
        """Return the dictionary that a layer puts its variables into."""
        self.layers.append((path, (metadata or {}).get("name", path), {}))
        return self.layers[-1][2]


def _by_path(model: keras.Model) -> list[Layer]:
    """Return the layers with weights as Keras's own layout has them."""
    places = _Places()
    _save_state(model, places, None, inner_path="", visited_saveables={id(getattr(model, "optimizer", None))})
    return [Layer(path, name, list(weights.values())) for path, name, weights in places.layers if weights]


def _in_order(model: keras.Model) -> list[Layer]:
    """Return the layers with weights as the older layout has them: in order, trainable weights first."""
    layers = []
    for layer in model.layers:
        if weights := [*layer.trainable_weights, *layer.non_trainable_weights]:
            counted = _stem(layer.name) == to_snake_case(type(layer).__name__)
            layers.append(Layer(None if counted else layer.name, layer.name, weights))
    return layers


def _settle(model: keras.Model) -> None:
    """Let layers that compute from their weights do it again, as Normalization does."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _settle(layer)
        elif layer.weights and hasattr(layer, "finalize_state"):
            layer.finalize_state()
