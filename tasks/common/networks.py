"""Keras models as two plain files: architecture as JSON, weights as HDF5.

A `.keras` archive carries timestamps and may run code when it is loaded; these two do neither.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras

from tasks.common.errors import GraftError


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
    """Load weights by position from an HDF5 file, in keras.applications' layout or Keras 3's.

    Raises GraftError when the file is no HDF5, links outside itself, or does not fit the architecture.
    """
    _check(path, model)
    try:
        model.load_weights(path)
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise GraftError(_unfit(path, model, " ".join(str(error).split())[:300])) from error


def _check(path: Path, model: keras.Model) -> None:
    """Walk the file before Keras opens it; raises GraftError for what HDF5 or Keras would follow or pass over."""
    try:
        with h5py.File(path, "r") as file:
            stored = sum(one.size for one in _datasets(file, path) if not one.name.startswith("/optimizer/"))
    except OSError as error:
        message = f"{path} is not a readable HDF5 file. Expected Keras weights (.h5); fetch or copy the file again."
        raise GraftError(message) from error
    expected = sum(math.prod(variable.shape) for variable in model.weights)
    # Keras tells its layouts apart by the name. In the legacy one it compares layers; in its own it passes over what
    # the network has no place for.
    if path.name.endswith(".weights.h5") and stored != expected:
        raise GraftError(_unfit(path, model, f"it holds {stored:,} numbers where {expected:,} are expected"))


def _datasets(file: h5py.File, path: Path) -> Iterator[h5py.Dataset]:
    """Yield the datasets; raises GraftError for links, which HDF5 would follow to other files, and for other kinds."""
    pending: list[h5py.Group] = [file]
    seen = set()
    while pending:
        group = pending.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for key in group:
            name = f"{group.name.rstrip('/')}/{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                message = f"{path} holds a link at '{name}', which is refused. Use a file without."
                raise GraftError(message)
            child = group[key]
            if isinstance(child, h5py.Group):
                pending.append(child)
            elif not isinstance(child, h5py.Dataset) or child.dtype.kind not in "fiuSO":
                message = f"{path} holds something other than numbers at '{name}', which is refused."
                raise GraftError(message)
            elif child.external or child.is_virtual:
                message = f"{path} stores '{name}' in another file, which is refused."
                raise GraftError(message)
            else:
                yield child


def _unfit(path: Path, model: keras.Model, reason: str) -> str:
    return f"{path} does not fit {model.name} ({model.count_params():,} parameters): {reason}"
