"""Keras models as two plain files: architecture as JSON, weights as HDF5.

A `.keras` archive carries timestamps and may run code when it is loaded; these two files do neither.
"""

import json
from pathlib import Path

import keras

from tasks.networks.weight_loading import load_weights


def save(model: keras.Model, folder: Path, name: str) -> None:
    """Write `name`.json and `name`.weights.h5 into `folder`, the same bytes for the same model."""
    folder.mkdir(parents=True, exist_ok=True)
    # The JSON of a trained model names its optimizer, whose state would go into the file of weights.
    architecture = json.loads(model.to_json())
    architecture.pop("compile_config", None)
    text = json.dumps(architecture, indent=1, sort_keys=True) + "\n"
    (folder / f"{name}.json").write_text(text, encoding="utf-8")
    copy = keras.models.model_from_json(text)
    copy.set_weights(model.get_weights())
    copy.save_weights(folder / f"{name}.weights.h5", overwrite=True)


def load(folder: Path, name: str) -> keras.Model:
    """Return the model that `save` wrote; raises GraftError when its weights are damaged."""
    model = keras.models.model_from_json((folder / f"{name}.json").read_text(encoding="utf-8"))
    load_weights(model, folder / f"{name}.weights.h5")
    return model
