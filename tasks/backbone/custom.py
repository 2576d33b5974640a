"""Networks of the user's own: functions in the folder `backbones`, named as backbones.MODULE:FUNCTION."""

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import keras

from tasks.backbone.construction import reset_keras
from tasks.common.errors import GraftError, did_you_mean


def build_custom(name: str, input_size: int | None, seed: int) -> keras.Model:
    """Return the network that the function `name` builds, with random weights that follow from `seed`.

    The function takes the input size S in pixels and returns a functional or Sequential Keras model of Keras's own
    layers, from RGB values 0..255, float32 [N, S, S, 3], to maps, tokens or a vector. Models may lie inside of it.

    Raises:
        GraftError: the function cannot be imported, fails, or returns another kind of model.
    """
    if input_size is None:
        message = f"backbone.input_size is null; a network of your own, {name}, needs it in pixels."
        raise GraftError(message)
    function = _import_function(name)
    reset_keras(seed)
    try:
        base = function(input_size)
        if isinstance(base, keras.Sequential) and not base.built:
            base(keras.Input((input_size, input_size, 3)))
    except Exception as error:
        raise GraftError(_describe(name, error)) from error
    _check_model(name, base, input_size)
    return base


def _import_function(name: str) -> Callable[[int], keras.Model]:
    module_name, _, function_name = name.partition(":")
    # DVC tracks that folder for the stage: a module from elsewhere could change without making the stage stale.
    if module_name.split(".")[0] != "backbones" or not function_name:
        message = f"backbone.name '{name}' is no backbones.MODULE:FUNCTION, a function in the folder backbones."
        raise GraftError(message)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise GraftError(_describe(name, error)) from error
    functions = {key: value for key, value in vars(module).items() if callable(value)}
    if function_name not in functions:
        message = (
            f"backbone.name '{name}': {module_name} has no function '{function_name}'."
            f"{did_you_mean(function_name, functions)}"
        )
        raise GraftError(message)
    return functions[function_name]


def _describe(name: str, error: Exception) -> str:
    """Return an error of the user's code as one line: its kind, its text, and where it was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return f"backbone.name '{name}': {type(error).__name__}: {text} ({Path(frame.filename).name}, line {frame.lineno})"


def _check_model(name: str, base: object, input_size: int) -> None:
    if not isinstance(base, keras.Model) or not getattr(base, "inputs", None):
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
    # A class that is registered with Keras could be written down, but the stages that read it do not import it.
    for layer in base._flatten_layers(include_self=False):  # noqa: SLF001  Keras has no public access to nested layers
        if type(layer).__module__.split(".")[0] != "keras":
            message = (
                f"{name} returned a model with the layer '{layer.name}' of class {type(layer).__name__}; "
                "expected Keras's own layers only."
            )
            raise GraftError(message)
    try:
        keras.models.model_from_json(base.to_json())
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        message = f"{name} returned a model that cannot be written down: {reason} Use Keras's own layers only."
        raise GraftError(message) from error
