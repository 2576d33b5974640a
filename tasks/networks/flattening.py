"""Flattening of nested networks: a model inside a model gives way to its layers.

Keras treats a nested model as one layer. The layers inside of it could be neither cut nor tapped nor frozen one by one.
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import keras
from keras.src.models import Functional
from keras.src.ops.operation import Operation

from tasks.common.errors import GraftError
from tasks.networks import cuts
from tasks.networks.weight_loading import refresh

END = "output"
"""Name of the layer that is put behind an output that no single call of a layer computes."""


def flatten(model: keras.Model) -> keras.Model:
    """Return a functional model with the same weights and outputs and without functional or Sequential models inside.

    The model has one input and one output. It ends in a layer, and each of its layers belongs to it alone. A model
    that is like that already is returned as it is; otherwise the layers are copies. Layers that are called several
    times stay shared. A layer inside keeps its name where that is free; if not, the name of its model goes before it.

    Raises:
        GraftError: a model inside is neither functional nor a built Sequential, or is called with options.
    """
    if _is_flat(model):
        return model
    outer = _as_functional(model)
    [layer] = (tensor._keras_history.operation for tensor in outer.inputs)  # noqa: SLF001
    source = keras.Input(batch_shape=layer.batch_shape, dtype=layer.dtype, name=layer.name)
    copies = _Copies(outer)
    [output] = keras.tree.flatten(copies.call_layers(outer, [source], None))
    flat = keras.Model(source, output, name=model.name)
    if _ends_in_a_cut(flat):
        return flat
    return keras.Model(source, keras.layers.Identity(name=copies.free_name(END, model.name))(output), name=model.name)


class _Copies:
    """Copies of layers and operations, one of each, with names that are unique in the whole model."""

    def __init__(self, outer: keras.Model) -> None:
        """Reserve the names of the outermost model's own layers."""
        self._copies: dict[int, Operation] = {}
        self._names = {operation.name for operation in outer.operations if not isinstance(operation, keras.Model)}

    def call_layers(self, model: keras.Model, inputs: Sequence[Any], inside: str | None) -> Any:
        """Call copies of the layers of a functional model, at any depth, on its inputs; return its outputs.

        `inside` is the name of the model where it lies inside another.
        """

        def call(operation: Operation, *arguments: Any, **options: Any) -> Any:
            if isinstance(operation, keras.Model):
                nested = _as_functional(operation)
                return self.call_layers(nested, _nested_inputs(nested, arguments, options), operation.name)
            copy = self._copies.get(id(operation))
            if copy is not None:
                return copy(*arguments, **options)
            copy = self._copies[id(operation)] = self._copy(operation, inside)
            result = copy(*arguments, **options)
            if isinstance(operation, keras.Layer) and operation.weights:
                copy.set_weights(operation.get_weights())
                refresh([copy])
            return result

        return model._run_through_graph(inputs, call_fn=call)  # noqa: SLF001  as keras.models.clone_model does

    def free_name(self, name: str, inside: str) -> str:
        """Reserve and return a name that no layer has: `name` itself, or one with the model's name before it."""
        names = [name, f"{inside}_{name}"]
        numbered = (f"{inside}_{name}_{number}" for number in count(1))
        free = next((candidate for candidate in names if candidate not in self._names), None)
        free = free or next(candidate for candidate in numbered if candidate not in self._names)
        self._names.add(free)
        return free

    def _copy(self, operation: Operation, inside: str | None) -> Operation:
        name = operation.name if inside is None else self.free_name(operation.name, inside)
        config = operation.get_config()
        if isinstance(operation, keras.Layer):
            config["name"] = name
        copy = type(operation).from_config(config)
        copy.name = name  # operations do not all take a name
        return copy


def _is_flat(model: keras.Model) -> bool:
    if isinstance(model, keras.Sequential) or any(isinstance(layer, keras.Model) for layer in model.layers):
        return False
    nodes = {id(node) for node in cuts.graph_nodes(model)}
    first_calls = (layer._inbound_nodes[0] for layer in model.layers)  # noqa: SLF001
    return _ends_in_a_cut(model) and all(id(node) in nodes for node in first_calls)


def _ends_in_a_cut(model: keras.Model) -> bool:
    return cuts.find_cuts(model)[-1:] == cuts.tap_names(model)


def _as_functional(model: keras.Model) -> keras.Model:
    if isinstance(model, Functional):
        return model
    if isinstance(model, keras.Sequential) and model.built and getattr(model, "inputs", None):
        return keras.Model(model.inputs, model.outputs, name=model.name)
    message = (
        f"the model '{model.name}' of class {type(model).__name__} cannot be flattened; expected a functional model or "
        "a built Sequential. Build it with keras.Model(inputs, outputs)."
    )
    raise GraftError(message)


def _nested_inputs(model: keras.Model, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Any]:
    """Return the tensors on which a nested model is called, in the order of its inputs."""
    # A base always runs in inference mode, whatever its function says. Keras adds masks that are None to every call.
    given = {name: value for name, value in options.items() if name != "training"}
    others = {
        name: value for name, value in given.items() if any(part is not None for part in keras.tree.flatten(value))
    }
    inputs = [*arguments, *(others.pop(name) for name in ["inputs"] if name in others)]
    if len(inputs) != 1 or others:
        message = (
            f"the model '{model.name}' is called with {', '.join(others) or len(inputs)} inside another; "
            "expected a call with its inputs alone."
        )
        raise GraftError(message)
    if isinstance(inputs[0], dict) and not isinstance(model.input, dict):
        return [inputs[0][tensor.name] for tensor in model.inputs]
    return list(keras.tree.flatten(inputs[0]))
