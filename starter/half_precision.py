"""The weights file: Keras' own `.weights.h5` layout, stored in half precision, the same bytes for the same weights."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    import keras

COMMITTED = Path(__file__).parents[1] / "tasks" / "backbone" / "mobilenet_0.25_64.weights.h5"
"""The starter weights of this repository."""


def save_half(model: keras.Model, path: Path) -> None:
    """Write a model's weights to `path` for `model.load_weights`, float16 inside; Keras casts them when it loads.

    The file holds no times and replaces an older one in one step. Raises ValueError when a weight is not finite in
    half precision, whose largest number is 65,504.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        full, half = Path(folder) / "full.weights.h5", Path(folder) / "half.weights.h5"
        model.save_weights(full)
        with h5py.File(full, "r") as source, h5py.File(half, "w", track_order=False) as target:
            _copy_half(source, target)
        shutil.move(half, path)


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
                    msg = f"{item.name}: a weight is not finite in half precision"
                    raise ValueError(msg)
            dataset = target.create_dataset(name, data=values, track_times=False)
            for key, value in item.attrs.items():
                dataset.attrs[key] = value
