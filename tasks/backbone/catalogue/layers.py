"""The layers of one network, and where it can be cut."""

import math
from collections.abc import Iterator

import keras

from tasks.backbone.construction import build, build_own
from tasks.backbone.registry import architecture, sized
from tasks.common import console
from tasks.networks import cuts

COLUMNS = ("layer", "kind", "output", ">parameters", ">cut at")


def show(name: str, input_size: int | None, alpha: float | None, *, include_top: bool) -> None:
    """Print a row a layer, its cuts marked with their depth, and the counts of parameters."""
    if ":" in name:
        model = build_own(name, input_size, seed=0)
    else:
        row = architecture(name)
        model = build(row, *sized(row, input_size, alpha), seed=0, include_top=include_top, imagenet=False)
    console.print_table(COLUMNS, layers(model))
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    total = model.count_params()
    print(f"\n{name}: {total:,} parameters, {trainable:,} trainable, {total - trainable:,} not trainable")
    hint = "name one by layer, by block (what its layers' names begin with), or by depth (0.8)"
    print(f"{len(cuts.find_cuts(model))} cuts; {hint}")


def layers(model: keras.Model) -> Iterator[tuple[str, ...]]:
    """Yield a row a layer: its name, kind, output shape without N, parameters, and its depth where it is a cut."""
    among = cuts.list_layers(model, model.name)
    for layer in model.layers:
        shape = "x".join(str(length) for length in layer.output.shape[1:])
        depth = f"{among.depth(layer.name):.3f}" if layer.name in among.cuts else ""
        yield layer.name, type(layer).__name__, shape, f"{layer.count_params():,}", depth
