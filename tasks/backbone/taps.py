"""The part of a network that a run uses: up to the cut, with an output at each tap."""

import math
from collections.abc import Sequence

import keras

from tasks.common.errors import GraftError
from tasks.networks import cuts
from tasks.networks.conversion.keras_to_onnx import MAPS, TOKENS, VECTORS

AUTO = "auto"
MAX_TAPS = 4
PADDINGS = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)
POOLINGS = (
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
)


def select_taps(
    model: keras.Model, name: str, cut: cuts.Choice | None, taps: Sequence[cuts.Choice] | str | None, pooling: str
) -> keras.Model:
    """Return the part of the model up to `cut`, with an output at each of `taps`, from the input up.

    `name` is what messages call the model. It shares its weights with the part. No cut means the last layer, no taps
    mean one at the cut, and `auto` means those of `choose_taps`.

    Raises:
        GraftError: a choice is no cut of the model, a tap lies above the cut, two taps are the same, or a tap has no
            output that `pooling` makes a vector of.
    """
    last = model.layers[-1].name if cut is None else cuts.resolve(cut, cuts.list_layers(model, name), "backbone.cut")
    base = cuts.truncate(model, [last])
    tap_names = choose_taps(base, pooling) if taps == AUTO else _resolve_taps(base, name, taps or []) or [last]
    selected = cuts.truncate(base, tap_names)
    for layer, output in zip(tap_names, selected.outputs, strict=True):
        _check_output(name, layer, output.shape, pooling)
    return selected


def choose_taps(base: keras.Model, pooling: str) -> list[str]:
    """Return the names of at most four cuts of the base, from the input up: its last layer and lower ones.

    Of maps, these are the last cuts of the lowest resolutions, where a resolution is a factor of two in the side of the
    maps. Of tokens, they are evenly spaced outputs of blocks, where branches join. With the pooling `none` the last
    layer stands alone, since lower maps have too many values.
    """
    last = base.layers[-1].name
    if pooling == "none":
        return [last]
    ranks = {name: len(output.shape) for name, output in cuts.layer_outputs(base).items()}
    names = cuts.find_cuts(base)
    tokens = [name for name in names if ranks[name] == TOKENS]
    maps = [name for name in names if ranks[name] == MAPS]
    lower = _evenly_spaced(base, tokens) if tokens else _last_of_each_size(base, maps)
    return [*lower[-(MAX_TAPS - 1) :], last]


def _last_of_each_size(base: keras.Model, maps: list[str]) -> list[str]:
    """Return the last cut of each size of maps but the size of the last layer, or of the maps that it pools."""
    last, size, outputs = base.layers[-1], base.input_shape[1], cuts.layer_outputs(base)
    last_of_size: dict[int, str] = {}
    for name in maps:
        # Padding changes the size, but what it adds says nothing.
        if name == last.name or not isinstance(base.get_layer(name), PADDINGS):
            _, height, width, _ = outputs[name].shape
            halvings = round(math.log2(size / math.sqrt(height * width)))
            last_of_size.pop(halvings, None)  # so that the order is that of the last cuts
            last_of_size[halvings] = name
    ends = list(last_of_size.values())
    # A tap below its own pooled vector would be the same features twice.
    return ends[:-1] if last.name in maps or isinstance(last, POOLINGS) else ends


def _evenly_spaced(base: keras.Model, tokens: list[str]) -> list[str]:
    """Return the cuts at one, two and three quarters of the blocks, whose outputs are where branches join."""
    joins = {node.operation.name for node in cuts.graph_nodes(base) if len(node.parent_nodes) > 1}
    ends = [name for name in tokens if name in joins] or tokens
    quarters = [math.ceil(len(ends) * quarter / MAX_TAPS) - 1 for quarter in range(1, MAX_TAPS)]
    return [ends[position] for position in dict.fromkeys(quarters) if position < len(ends) - 1]


def _resolve_taps(base: keras.Model, name: str, taps: Sequence[cuts.Choice]) -> list[str]:
    """Return the names of the cuts that the user names, from the input up."""
    base_layers = cuts.list_layers(base, name)
    tap_names = [cuts.resolve(tap, base_layers, f"features.taps[{position}]") for position, tap in enumerate(taps)]
    duplicate = next((tap_name for tap_name in tap_names if tap_names.count(tap_name) > 1), None)
    if duplicate is not None:
        message = f"features.taps names the cut '{duplicate}' twice; name each once."
        raise GraftError(message)
    return sorted(tap_names, key=base_layers.layers.index)


def _check_output(name: str, layer: str, shape: Sequence[int | None], pooling: str) -> None:
    """Refuse an output that no pooling, or not this one, makes a vector of."""
    text = f"[N, {', '.join('?' if length is None else str(length) for length in shape[1:])}]"
    if len(shape) not in {VECTORS, TOKENS, MAPS} or None in shape[1:]:
        message = (
            f"layer '{layer}' of {name} has an output {text}; expected maps [N, H, W, C], tokens [N, T, D] or a vector "
            "[N, D]. Name another cut in backbone.cut or features.taps."
        )
        raise GraftError(message)
    if pooling == "cls" and len(shape) == MAPS:
        message = (
            f"backbone.pooling is cls, the first token, but layer '{layer}' of {name} has maps {text}. "
            "Set backbone.pooling to avg, max or none."
        )
        raise GraftError(message)
