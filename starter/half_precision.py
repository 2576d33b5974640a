"""Weights files in half precision: Keras' own `.weights.h5` layout, the same bytes for the same weights."""

import tempfile
from pathlib import Path

import h5py
import keras
import numpy as np

from tasks.common.files import atomic_file


def save_half(model: keras.Model, path: Path) -> None:
    """Write a model's weights as float16 to `path`; `model.load_weights` casts them back.

    The file holds no times and replaces an older one in one step.

    Raises:
        ValueError: A weight is not finite in half precision, whose largest number is 65,504.
    """
    with tempfile.TemporaryDirectory() as folder, atomic_file(path) as temporary:
        full = Path(folder) / "full.weights.h5"
        model.save_weights(full)
        with h5py.File(full, "r") as source, h5py.File(temporary, "w", track_order=False) as target:
            _copy_half(source, target)


def _copy_half(source: h5py.Group, target: h5py.Group) -> None:
    """Copy groups, attributes and datasets; float32 datasets become float16."""
    for key, value in source.attrs.items():
        target.attrs[key] = value
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy_half(item, target.create_group(name))
        else:
            values = item[()]
            if values.dtype == np.float32:
                with np.errstate(over="ignore"):
                    values = values.astype(np.float16)
                if not np.isfinite(values).all():
                    message = f"{item.name}: a weight is not finite in half precision"
                    raise ValueError(message)
            dataset = target.create_dataset(name, data=values, track_times=False)
            for key, value in item.attrs.items():
                dataset.attrs[key] = value
