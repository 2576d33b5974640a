"""The network that is trained: the part of the base above the cut, and the head; the part up to the cut stays."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tasks.networks import cuts
from tasks.networks.conversion.keras_to_onnx import pool, preprocess, tap_vectors
from tasks.networks.logits import last_dense


class UsedTaps(NamedTuple):
    """The taps that the head uses, in order of depth: those at or below the cut, and those above it."""

    below: list[str]
    above: list[str]


def divide_taps(taps: Sequence[str], cut: str, layers: cuts.LayerList) -> UsedTaps:
    """Return the taps as those whose features stay as they are and those that training changes."""
    below = [tap for tap in taps if layers.depth(tap) <= layers.depth(cut)]
    return UsedTaps(below, [tap for tap in taps if tap not in below])


def split_base(base: keras.Model, cut: str, taps_above: Sequence[str]) -> tuple[keras.Model, keras.Model]:
    """Return the base up to and with the layer `cut`, and the part from there to `taps_above`.

    Both share the base's weights. BatchNorm above the cut is frozen at every depth of nesting: the statistics of a
    small batch would spoil the base.
    """
    lower = cuts.truncate(base, [cut])
    upper = keras.Model(lower.output, [base.get_layer(name).output for name in taps_above], name="upper")
    for layer in _all_layers(upper):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return lower, upper


class Network(NamedTuple):
    """The network that is trained: from the activations at the cut, and the features of taps below, to probabilities.

    `fixed_width` is the number of features from taps at or below the cut; with 0 there is only one input.
    """

    upper: keras.Model
    head: keras.Model
    pooling: str
    fixed_width: int

    @property
    def signature(self) -> list[tf.TensorSpec]:
        """The inputs: activations, float32 [n, ...], and unless there are none, fixed features, float32 [n, D]."""
        boundary = tf.TensorSpec([None, *self.upper.input_shape[1:]], tf.float32)
        return [boundary, tf.TensorSpec([None, self.fixed_width], tf.float32)][: 2 if self.fixed_width else 1]

    def __call__(self, inputs: Sequence[Any]) -> Any:
        """Return probabilities, float32 [n, classes]."""
        return self.head(self._features(inputs), training=False)

    def logits(self, inputs: Sequence[Any]) -> Any:
        """Return logits, float32 [n, classes], with dropout in the head; the base runs in inference mode."""
        last = last_dense(self.head)
        hidden = keras.Model(self.head.input, last.input)
        return tf.matmul(hidden(self._features(inputs), training=True), last.kernel) + last.bias

    def _features(self, inputs: Sequence[Any]) -> Any:
        vectors = [*inputs[1:], *tap_vectors(self.upper, inputs[0], self.pooling)]
        return vectors[0] if len(vectors) == 1 else tf.concat(vectors, axis=1)

    @property
    def groups(self) -> list[list[Any]]:
        """The variables that are trained: those of the head, then those of each layer of the base from the top down."""
        groups, seen = [], {id(variable) for variable in self.head.trainable_variables}
        for layer in _in_order(self.upper):
            new = [variable for variable in layer.trainable_variables if id(variable) not in seen]
            seen |= {id(variable) for variable in new}
            groups += [new] if new else []
        return [list(self.head.trainable_variables), *reversed(groups)]

    @property
    def variables(self) -> list[Any]:
        """All variables that are trained, in the order of the groups."""
        return [variable for group in self.groups for variable in group]

    @property
    def random_states(self) -> list[Any]:
        """The states of the head's random generators, from which dropout draws."""
        layers = [layer for layer in _all_layers(self.head) if hasattr(layer, "seed_generator")]
        return [layer.seed_generator.state for layer in layers]


class LiveNetwork(NamedTuple):
    """The whole network, from resized pixels to probabilities, of which the same parts are trained.

    `lower` ends in the taps at or below the cut that the head uses, and in the cut. `mode` is the preprocessing.
    """

    lower: keras.Model
    network: Network
    mode: str

    @property
    def signature(self) -> list[tf.TensorSpec]:
        """The only input: pixels, uint8 [n, S, S, 3]."""
        return [tf.TensorSpec([None, *self.lower.input_shape[1:]], tf.uint8)]

    def logits(self, inputs: Sequence[Any]) -> Any:
        """Return logits, float32 [n, classes], with dropout in the head; the base runs in inference mode."""
        *taps, boundary = keras.tree.flatten(self.lower(preprocess(inputs[0], self.mode), training=False))
        fixed = [pool(output, self.network.pooling) for output in taps]
        return self.network.logits([boundary, tf.concat(fixed, axis=1)] if fixed else [boundary])


def live_network(base: keras.Model, cut: str, taps_below: Sequence[str], network: Network, mode: str) -> LiveNetwork:
    """Return the whole network around the parts of `network`."""
    outputs = [base.get_layer(name).output for name in [*taps_below, cut]]
    return LiveNetwork(keras.Model(base.input, outputs, name="lower"), network, mode)


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a model and of the models and wrappers in it, at every depth."""
    yield from model._flatten_layers(include_self=False)  # noqa: SLF001  Keras has no public access to nested layers


def _in_order(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a model from the input up, those of a nested model in its place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _in_order(layer)
        else:
            yield layer
