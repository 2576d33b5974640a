"""The part of a network that a run uses: up to the cut, with an output at each tap."""

from collections.abc import Sequence

import keras

from tasks.common.errors import GraftError
from tasks.networks import cuts


def select_taps(
    model: keras.Model, name: str, cut: cuts.Choice | None, taps: Sequence[cuts.Choice] | None
) -> keras.Model:
    """Return the part of the model up to `cut`, with an output at each of `taps`, from the input up.

    `name` is what messages call the model. It shares its weights with the part. No cut means the last layer, no taps
    mean one at the cut.

    Raises:
        GraftError: a choice is no cut of the model, a tap lies above the cut, or two taps are the same.
    """
    last = model.layers[-1].name if cut is None else cuts.resolve(cut, cuts.list_layers(model, name), "backbone.cut")
    base = cuts.truncate(model, [last])
    base_layers = cuts.list_layers(base, name)
    tap_names = [
        cuts.resolve(tap, base_layers, f"features.taps[{position}]") for position, tap in enumerate(taps or [])
    ]
    duplicate = next((tap_name for tap_name in tap_names if tap_names.count(tap_name) > 1), None)
    if duplicate is not None:
        message = f"features.taps names the cut '{duplicate}' twice; name each once."
        raise GraftError(message)
    return cuts.truncate(base, sorted(tap_names, key=base_layers.layers.index) or [last])
