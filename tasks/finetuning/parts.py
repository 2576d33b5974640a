"""The part of the base that stays, the part that is trained, and the cut between them."""

import keras

from tasks.common.errors import GraftError
from tasks.networks import cuts
from tasks.networks.conversion.keras_to_onnx import pool, tap_vectors


def resolve_cut(choice: cuts.Choice, layers: cuts.LayerList, taps: list[str]) -> str:
    """Return the name of the layer that `choice` means.

    Raises:
        GraftError: The base has no such cut, nothing above it could be trained, or a tap lies below it.
    """
    cut = cuts.resolve(choice, layers, "finetuning.cut")
    if layers.depth(cut) > layers.depth(taps[0]):
        message = (
            f"finetuning.cut '{cut}' lies above the tap '{taps[0]}', whose features would stay as they are. "
            f"Choose '{taps[0]}' or a cut below it, or take that one out of features.taps."
        )
        raise GraftError(message)
    if cut == layers.layers[-1]:
        message = f"finetuning.cut '{cut}' is the last layer of {layers.name}: nothing is above it to train."
        raise GraftError(message)
    return cut


def split_base(base: keras.Model, cut: str) -> tuple[keras.Model, keras.Model]:
    """Return the base up to and with the layer `cut`, and the rest of it; they share the base's weights.

    The rest has an output at each tap above the cut.
    """
    lower = cuts.truncate(base, [cut])
    taps_above = [base.get_layer(name).output for name in cuts.tap_names(base) if name != cut]
    return lower, keras.Model(lower.output, taps_above, name="upper")


def join_head(
    upper: keras.Model, classifier: keras.Model, pooling: str, *, boundary_is_tap: bool = False
) -> keras.Model:
    """Return the model that is trained, from activations at the cut to probabilities.

    `boundary_is_tap`: the activations themselves are features too, ahead of those from above.
    BatchNorm runs in inference mode and keeps its statistics, because those of a small batch would spoil the
    base.
    """
    for layer in upper.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    source = keras.Input(upper.input_shape[1:], name="boundary")
    below = [pool(source, pooling)] if boundary_is_tap else []
    vectors = below + tap_vectors(upper, source, pooling)
    features = vectors[0] if len(vectors) == 1 else keras.layers.Concatenate()(vectors)
    return keras.Model(source, classifier(features), name="joint")
