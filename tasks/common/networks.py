"""Keras models as two plain files: architecture as JSON, weights as HDF5.

A `.keras` archive carries timestamps and may run code when it is loaded; these two do neither.
"""

import json
from pathlib import Path

import h5py
import keras

from tasks.common.errors import GraftError


def save(model: keras.Model, folder: Path, name: str) -> None:
    """Write `name`.json and `name`.weights.h5, the same bytes for the same model."""
    folder.mkdir(parents=True, exist_ok=True)
    architecture = json.loads(model.to_json())
    (folder / f"{name}.json").write_text(json.dumps(architecture, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    model.save_weights(folder / f"{name}.weights.h5", overwrite=True)


def load(folder: Path, name: str) -> keras.Model:
    """Rebuild the model that `save` wrote."""
    model = keras.models.model_from_json((folder / f"{name}.json").read_text(encoding="utf-8"))
    load_weights(model, folder / f"{name}.weights.h5")
    return model


def load_weights(model: keras.Model, path: Path) -> None:
    """Load weights by position from an HDF5 file, in keras.applications' layout or Keras 3's.

    Raises GraftError when the file is no HDF5, links outside itself, or does not fit the architecture.
    """
    _refuse_links(path)
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())
        message = f"{path} does not fit {model.name} ({model.count_params():,} parameters): {reason[:300]}"
        raise GraftError(message) from error


def _refuse_links(path: Path) -> None:
    """Raise GraftError if the file holds soft or external links: HDF5 would follow them to other files."""
    try:
        with h5py.File(path, "r") as file:
            pending: list[h5py.Group] = [file]
            while pending:
                group = pending.pop()
                for key in group:
                    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                        message = f"{path} holds a link at '{group.name}/{key}', which is refused. Use a file without."
                        raise GraftError(message)
                    child = group[key]
                    if isinstance(child, h5py.Group):
                        pending.append(child)
                    elif child.external:
                        message = f"{path} stores '{child.name}' in another file, which is refused."
                        raise GraftError(message)
    except OSError as error:
        message = f"{path} is not a readable HDF5 file. Expected Keras weights (.h5); fetch or copy the file again."
        raise GraftError(message) from error
