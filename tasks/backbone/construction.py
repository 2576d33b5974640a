"""From a name to a Keras network, its weights still random."""

import importlib
import math
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tasks.backbone.registry import Architecture
from tasks.common.errors import GraftError, did_you_mean

# ImageNet's deviations, as EfficientNet divides by their roots once more; tensorflow/tensorflow#49930.
DEVIATIONS = (0.229, 0.224, 0.225)


def build(
    row: Architecture, input_size: int, alpha: float | None, seed: int, *, include_top: bool, imagenet: bool
) -> keras.Model:
    """Return the network of that row for images of `input_size` pixels, with random weights of that seed.

    `imagenet`: the ImageNet weights are going to be loaded, for which EfficientNet has a layer more. Layer names are
    the same in every process.
    """
    reset_keras(seed)
    options = {} if alpha is None else {"alpha": alpha}
    base = getattr(keras.applications, row.name)(
        input_shape=(input_size, input_size, 3), include_top=include_top, weights=None, **options
    )
    return _with_rescaling(base) if imagenet and row.quirk == "rescales_imagenet" else base


def randomize_batch_norm(model: keras.Model, seed: int) -> None:
    """Give every BatchNorm of the model random parameters and statistics, unlike those of a new one.

    With those of a new one the values of a deep random network fade away, and rounding is all that is left. With these
    they neither fade nor grow, which would end where Keras differs from itself.
    """
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            if layer.scale:
                layer.gamma.assign(random.uniform(0.8, 1, shape))
            if layer.center:
                layer.beta.assign(random.normal(0, 0.02, shape))
            layer.moving_mean.assign(random.normal(0, 0.02, shape))
            layer.moving_variance.assign(random.uniform(1, 1.2, shape))


def build_own(name: str, input_size: int | None, seed: int) -> keras.Model:
    """Return the network that the user's `backbones.MODULE:FUNCTION` builds, with random weights of that seed.

    The function takes the input size and returns a functional Keras model of Keras's own layers from RGB values 0..255,
    float32 [N, S, S, 3], to maps or a vector. Raises GraftError that says which of this does not hold.
    """
    if input_size is None:
        message = f"backbone.input_size is null; a network of your own, {name}, needs it in pixels."
        raise GraftError(message)
    function = _imported(name)
    reset_keras(seed)
    try:
        base = function(input_size)
    except Exception as error:
        raise GraftError(_told(name, error)) from error
    _check(name, base, input_size)
    return base


def reset_keras(seed: int) -> None:
    """Fix the seeds and let Keras count its layers from one again: no name follows what was built before."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)


def _with_rescaling(base: keras.Model) -> keras.Model:
    """Return the network with a rescaling after its normalization, as keras.applications builds it for `imagenet`."""

    def called(layer: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
        result = layer(*inputs, **options)
        if isinstance(layer, keras.layers.Normalization):
            return keras.layers.Rescaling([1 / math.sqrt(deviation) for deviation in DEVIATIONS])(result)
        return result

    return keras.models.clone_model(base, call_function=called)


def _imported(name: str) -> Callable[[int], keras.Model]:
    module, _, function = name.partition(":")
    # DVC tracks that folder for the stage: a network from elsewhere could change without anything being stale.
    if module.split(".")[0] != "backbones" or not function:
        message = f"backbone.name '{name}' is no backbones.MODULE:FUNCTION, a function in the folder backbones."
        raise GraftError(message)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise GraftError(_told(name, error)) from error
    functions = {key: value for key, value in vars(found).items() if callable(value)}
    if function not in functions:
        message = f"backbone.name '{name}': {module} has no function '{function}'.{did_you_mean(function, functions)}"
        raise GraftError(message)
    return functions[function]


def _told(name: str, error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    reason = " ".join(str(error).split())
    return (
        f"backbone.name '{name}': {type(error).__name__}: {reason} ({Path(place.filename).name}, line {place.lineno})"
    )


def _check(name: str, base: object, input_size: int) -> None:
    if not isinstance(base, keras.Model) or not hasattr(base, "layers") or not getattr(base, "inputs", None):
        message = f"{name} returned {type(base).__name__}; expected a functional Keras model."
        raise GraftError(message)
    expected = (None, input_size, input_size, 3)
    if [tuple(tensor.shape) for tensor in base.inputs] != [expected] or len(base.outputs) != 1:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in base.inputs)
        message = (
            f"{name} returned a model of inputs {shapes} and {len(base.outputs)} outputs; "
            f"expected one input {expected} and one output."
        )
        raise GraftError(message)
    try:
        keras.models.model_from_json(base.to_json())
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        message = f"{name} returned a model that cannot be written down: {reason} Use Keras's own layers only."
        raise GraftError(message) from error
