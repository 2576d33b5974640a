"""Table of the layers of one network, with its cuts."""

import math
from collections.abc import Iterator

import keras

from tasks.backbone.construction import build
from tasks.backbone.custom import build_custom
from tasks.backbone.registry import find_architecture, resolve_size
from tasks.common import console
from tasks.networks import cuts
from tasks.networks.flattening import flatten

COLUMNS = ("layer", "kind", "output", ">parameters", ">cut at")


def print_layers(name: str, input_size: int | None, alpha: float | None, *, include_top: bool) -> None:
    """Print a row for each layer, with its depth where it is a cut, and the numbers of parameters."""
    if ":" in name:
        model = build_custom(name, input_size, seed=0)
    else:
        architecture = find_architecture(name)
        size, alpha = resolve_size(architecture, input_size, alpha)
        model = build(architecture, size, alpha, seed=0, include_top=include_top, imagenet=False)
    model = flatten(model)
    console.print_table(COLUMNS, _layer_rows(model))
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    total = model.count_params()
    print(f"\n{name}: {total:,} parameters, {trainable:,} trainable, {total - trainable:,} not trainable")
    hint = "name one by layer, by block (the common beginning of its layers' names), or by depth (0.8)"
    print(f"{len(cuts.find_cuts(model))} cuts; {hint}")


def _layer_rows(model: keras.Model) -> Iterator[tuple[str, ...]]:
    """Yield a row for each layer: name, kind, shape of its (first) output without N, parameters, and depth of a cut."""
    layer_list = cuts.list_layers(model, model.name)
    for layer in model.layers:
        first_output = keras.tree.flatten(layer.output)[0]
        shape = "x".join(str(length) for length in first_output.shape[1:])
        depth = f"{layer_list.depth(layer.name):.3f}" if layer.name in layer_list.cuts else ""
        yield layer.name, type(layer).__name__, shape, f"{layer.count_params():,}", depth
