"""Cuts: layers whose output alone carries everything above them.

One notion serves four needs: use only the first layers of a base (`backbone.cut`), tap features at several depths
(`features.taps`), choose which layers fine-tuning trains (`finetuning.cut`), and keep activations at the frozen
boundary.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from tasks.common.errors import GraftError, did_you_mean

Choice = str | float
"""A cut as a user names it: a layer, a block (the common beginning of its layers' names), or a fraction of depth."""

# Depths are shown with three digits, and a depth as shown must reach its layer.
DEPTH_ROUNDING = 0.0005


def find_cuts(model: keras.Model) -> list[str]:
    """Return the names of the model's cuts, from the input up.

    A layer is a cut when it is an articulation point of the graph: walking the calls of layers and operations in
    topological order, no earlier output is still needed above it. It is called once and has one output.
    """
    nodes = graph_nodes(model)
    order = {id(node): position for position, node in enumerate(nodes)}
    last_use = [0] * len(nodes)
    for position, node in enumerate(nodes):
        for parent in node.parent_nodes:
            last_use[order[id(parent)]] = max(last_use[order[id(parent)]], position)
    outputs = layer_outputs(model)
    names, reach = [], 0
    for position, node in enumerate(nodes):
        if reach <= position and position and node.operation.name in outputs:
            names.append(node.operation.name)
        reach = max(reach, last_use[position])
    return names


def graph_nodes(model: keras.Model) -> list[Any]:
    """Return the calls of layers and operations that a functional model consists of, in topological order."""
    # Keras has no public access to the graph. A layer's own list of calls has those outside of the model too.
    by_depth = model._nodes_by_depth  # noqa: SLF001
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def layer_outputs(model: keras.Model) -> dict[str, Any]:
    """Return the outputs by name of the layers that the model calls once and that have one output."""
    nodes = graph_nodes(model)
    calls = Counter(id(node.operation) for node in nodes)
    return {
        node.operation.name: node.outputs[0]
        for node in nodes
        if isinstance(node.operation, keras.Layer) and calls[id(node.operation)] == 1 and len(node.outputs) == 1
    }


class LayerList(NamedTuple):
    """The layers of the network called `name`, from the input up, and those of them that are cuts."""

    name: str
    layers: list[str]
    cuts: list[str]

    def depth(self, layer: str) -> float:
        """Return the share of the layers above the input that lie at or below this one, in [0, 1]."""
        return self.layers.index(layer) / max(len(self.layers) - 1, 1)


def list_layers(model: keras.Model, name: str) -> LayerList:
    """Return the layers and cuts of a model; errors call it `name`."""
    return LayerList(name, [layer.name for layer in model.layers], find_cuts(model))


def resolve(choice: Choice, layer_list: LayerList, key: str) -> str:
    """Return the name of the cut that `choice` means; `key` is the setting that errors name.

    A layer's own name takes precedence. A block is cut where all of its layers have come together: at its last layer
    or the first cut above it. A fraction of depth, in (0, 1], counts layers from the input.

    Raises:
        GraftError: the choice is not a cut; the message names the nearest cuts or names.
    """
    if not isinstance(choice, str):
        return _at_depth(choice, layer_list, key)
    if choice in layer_list.cuts:
        return choice
    if choice in layer_list.layers:
        below, above = _nearest_cuts(layer_list.layers.index(choice), layer_list)
        message = (
            f"{key}: '{choice}' is no cut of {layer_list.name}, since another way leads past it. "
            f"The nearest cuts are '{below}' below and '{above}' above."
        )
        raise GraftError(message)
    block = [position for position, name in enumerate(layer_list.layers) if _is_in_block(name, choice)]
    if block:
        return _nearest_cuts(block[-1], layer_list)[1]
    message = (
        f"{key}: {layer_list.name} has no layer or block '{choice}'.{did_you_mean(choice, layer_list.cuts)} "
        f"`graft backbones show {layer_list.name}` lists its cuts."
    )
    raise GraftError(message)


def truncate(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Return the part of `model` that computes the outputs of the layers `names`, in their order.

    It shares the model's weights.
    """
    by_name = layer_outputs(model)
    outputs = [by_name[name] for name in names]
    return keras.Model(model.input, outputs[0] if len(outputs) == 1 else outputs, name=model.name)


def tap_names(model: keras.Model) -> list[str]:
    """Return the names of the layers that compute the model's outputs."""
    return [tensor._keras_history.operation.name for tensor in keras.tree.flatten(model.outputs)]  # noqa: SLF001


def _at_depth(fraction: float, layer_list: LayerList, key: str) -> str:
    if not 0 < fraction <= 1:
        message = f"{key} is {fraction:g}; expected a fraction of depth above 0 and at most 1, or a layer's name."
        raise GraftError(message)
    reached = [name for name in layer_list.cuts if layer_list.depth(name) <= fraction + DEPTH_ROUNDING]
    if not reached:
        lowest = layer_list.cuts[0]
        depth = layer_list.depth(lowest)
        message = f"{key} is {fraction:g}, below the lowest cut '{lowest}', which lies at {depth:.3f}."
        raise GraftError(message)
    return reached[-1]


def _nearest_cuts(position: int, layer_list: LayerList) -> tuple[str, str]:
    """Return the nearest cuts below and at or above a position; without a cut below, the lowest of all stands in."""
    positions = {name: layer_list.layers.index(name) for name in layer_list.cuts}
    below = [name for name in layer_list.cuts if positions[name] < position]
    above = [name for name in layer_list.cuts if positions[name] >= position]
    return (below[-1] if below else layer_list.cuts[0]), above[0]


def _is_in_block(layer: str, block: str) -> bool:
    """Tell whether a layer belongs to a block by its name: conv4_block6_out to conv4, block4a_add to block4."""
    rest = layer.removeprefix(block)
    if not layer.startswith(block) or not rest:
        return False
    return not rest[0].isalnum() or (block[-1].isdigit() and not rest[0].isdigit())
