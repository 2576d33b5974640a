"""Small Keras models and files of their weights."""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import h5py
import keras
import numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

Layout = Literal["older", "keras"]


def nested_model(width: int = 3, names: tuple[str, ...] = ("first", "last")) -> keras.Model:
    """Return a model (of 90 parameters) with a model inside; `names` are those of the layers before and after it."""
    keras.utils.set_random_seed(1)
    inner = [keras.layers.SeparableConv2D(width, 1, name="deep"), keras.layers.BatchNormalization(name="norm")]
    layers = [
        *(keras.layers.Conv2D(width, 2, name=name) for name in names[:1]),
        keras.Sequential([keras.Input((None, None, width)), *inner], name="inner"),
        *(keras.layers.Conv2D(width, 1, name=name) for name in names[1:]),
    ]
    return keras.Sequential([keras.Input((None, None, 4)), *layers], name="small")


def dense_model(names: tuple[str, str], widths: tuple[int, int] = (4, 4)) -> keras.Model:
    """Return a model of two dense layers, called `pair`."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(width, name=name) for name, width in zip(names, widths, strict=True)]
    return keras.Sequential([keras.Input((4,)), *layers], name="pair")


def application(name: str, size: int = 32, **options: Any) -> keras.Model:
    """Return a network of keras.applications for images of `size` pixels, without top, with random weights."""
    keras.utils.clear_session()  # restarts the numbers in the names of layers
    keras.utils.set_random_seed(1)
    return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(size, size, 3), **options)


small_mobilenet = partial(application, "MobileNet", alpha=0.25)


def randomize(model: keras.Model, seed: int) -> None:
    """Give the model random weights, none of them negative, since variances are not."""
    random = np.random.default_rng(seed)
    model.set_weights([(0.05 * random.random(value.shape)).astype(value.dtype) for value in model.get_weights()])


def write_weights(model: keras.Model, folder: Path, layout: Layout) -> Path:
    """Let Keras write the weights in one of its two layouts."""
    if layout == "keras":
        path = folder / "keras.weights.h5"
        model.save_weights(path)
        return path
    path = folder / "weights.h5"
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return path


def are_equal(left: list[Any], right: list[Any]) -> bool:
    """Tell whether two lists of arrays are equal."""
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(left, right, strict=True))
