"""Cuts: layers whose output alone carries everything above them.

One notion serves four needs: use only the first layers of a base (`backbone.cut`), tap features at several depths
(`features.taps`), choose what fine-tuning trains (`finetuning.cut`), keep activations at the frozen boundary.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras

from tasks.common.errors import GraftError, did_you_mean

Choice = str | float
"""A cut as a user names it: a layer, a block (the common beginning of its layers' names), or a fraction of depth."""


def find_cuts(model: keras.Model) -> list[str]:
    """Return the names of the model's cuts, from the input up.

    Layers are walked in topological order; one is a cut when no other output made so far is still wanted above it,
    that is, when it is an articulation point of the layer graph.
    """
    layers = model.layers
    order = {id(layer): place for place, layer in enumerate(layers)}
    last_use = [0] * len(layers)
    for place, layer in enumerate(layers):
        for source in _sources(layer):
            if source in order:
                last_use[order[source]] = max(last_use[order[source]], place)
    found, reach = [], 0
    for place, layer in enumerate(layers):
        if reach <= place and place:
            found.append(layer.name)
        reach = max(reach, last_use[place])
    return found


class LayerList(NamedTuple):
    """A network's name, its layers from the input up, and which of them are cuts: all that a choice is looked up in."""

    name: str
    layers: list[str]
    cuts: list[str]

    def depth(self, layer: str) -> float:
        """Return how far up a layer lies, as a share of the layers above the input, in [0, 1]."""
        return self.layers.index(layer) / max(len(self.layers) - 1, 1)


def list_layers(model: keras.Model, name: str) -> LayerList:
    """Return what there is to choose from in a model that people call `name`."""
    return LayerList(name, [layer.name for layer in model.layers], find_cuts(model))


def resolve(choice: Choice, among: LayerList, key: str) -> str:
    """Return the name of the cut that `choice` means; `key` is the setting that errors name.

    A layer's own name comes first. A block is cut where all of it has come together: at its last layer or the first
    cut above. A fraction of depth, in (0, 1], counts layers from the input. Raises GraftError with the nearest match.
    """
    if not isinstance(choice, str):
        return _at_depth(choice, among, key)
    if choice in among.cuts:
        return choice
    if choice in among.layers:
        below, above = _around(among.layers.index(choice), among)
        message = (
            f"{key}: '{choice}' is no cut of {among.name}, since another way leads past it. "
            f"The nearest cuts are '{below}' below and '{above}' above."
        )
        raise GraftError(message)
    block = [place for place, name in enumerate(among.layers) if _in_block(name, choice)]
    if block:
        return _around(block[-1], among)[1]
    message = (
        f"{key}: {among.name} has no layer or block '{choice}'.{did_you_mean(choice, among.cuts)} "
        f"`graft backbones show {among.name}` lists its cuts."
    )
    raise GraftError(message)


def truncate(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Return the part of `model` that the outputs of the layers `names` need, with those outputs, in their order.

    It shares the model's weights.
    """
    outputs = [model.get_layer(name).output for name in names]
    return keras.Model(model.input, outputs[0] if len(outputs) == 1 else outputs, name=model.name)


def tap_names(model: keras.Model) -> list[str]:
    """Return the names of the layers that the model's outputs come from."""
    return [tensor._keras_history.operation.name for tensor in keras.tree.flatten(model.outputs)]  # noqa: SLF001


def _sources(layer: Any) -> Iterable[int]:
    # Keras has no public view of the layer graph.
    return (id(parent.operation) for node in layer._inbound_nodes for parent in node.parent_nodes)  # noqa: SLF001


def _at_depth(fraction: float, among: LayerList, key: str) -> str:
    if not 0 < fraction <= 1:
        message = f"{key} is {fraction:g}; expected a fraction of depth above 0 and at most 1, or a layer's name."
        raise GraftError(message)
    # Depths are shown with three digits, and what is shown must find its layer.
    reached = [name for name in among.cuts if among.depth(name) <= fraction + 0.0005]
    if not reached:
        lowest = among.cuts[0]
        message = f"{key} is {fraction:g}, below the lowest cut '{lowest}', which lies at {among.depth(lowest):.3f}."
        raise GraftError(message)
    return reached[-1]


def _around(place: int, among: LayerList) -> tuple[str, str]:
    """Return the nearest cuts below and at-or-above that place; the lowest stands in where there is none below."""
    places = [among.layers.index(name) for name in among.cuts]
    above = next(name for name, at in zip(among.cuts, places, strict=True) if at >= place)
    below = [name for name, at in zip(among.cuts, places, strict=True) if at < place]
    return (below or among.cuts)[-1 if below else 0], above


def _in_block(layer: str, block: str) -> bool:
    """Tell whether a layer's name begins with the block's: conv4_block6_out is of conv4, block4a_add of block4."""
    rest = layer.removeprefix(block)
    if not layer.startswith(block) or not rest:
        return False
    return not rest[0].isalnum() or (block[-1].isdigit() and not rest[0].isdigit())
