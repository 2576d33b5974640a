"""A training step: AdamW with warm-up and a half cosine, and a lower rate for lower layers if that is wanted."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.common.params import Finetuning
from tasks.finetuning.batches import Floats
from tasks.finetuning.network import LiveNetwork, Network
from tasks.onnx.sessions import Array


class Optimization:
    """Trains the variables of `network`, a step at a time.

    The learning rate rises over the share `params.warmup` of the steps and then falls along a half cosine (Loshchilov
    and Hutter 2017, SGDR). With `params.layer_decay` below 1 each layer of the base has that factor of the rate of the
    layer above it, and the topmost that of the head (Howard and Ruder 2018, ULMFiT).
    """

    def __init__(self, network: Network, forward: Network | LiveNetwork, params: Finetuning, steps: int) -> None:
        """Train through `forward`, which contains `network`, in `steps` steps an epoch."""
        self.variables = network.variables
        self.classes = int(network.head.output_shape[-1])
        self._network, self._seed = network, params.seed
        self._rate = _schedule(params.learning_rate, params, steps)
        groups = network.groups if params.layer_decay < 1 else [self.variables]
        self._optimizers = [
            keras.optimizers.AdamW(
                _schedule(params.learning_rate * params.layer_decay**depth, params, steps),
                weight_decay=params.weight_decay,
            )
            for depth in range(len(groups))
        ]
        for optimizer, variables in zip(self._optimizers, groups, strict=True):
            optimizer.build(variables)
        self._steps = steps
        self._step = self._compile(forward, groups, params.label_smoothing)

    def step(self, inputs: list[Array], targets: Floats) -> tuple[float, int]:
        """Take a step on a batch; return its mean loss before that and how many of its rows were predicted right."""
        loss, right = self._step(*inputs, targets)
        return float(loss), int(right)

    def rate(self, epoch: int, step: int) -> float:
        """Return the learning rate of the head at that step (>= 0) of an epoch (>= 1)."""
        return float(self._rate((epoch - 1) * self._steps + step))

    def draw_dropout(self, epoch: int) -> None:
        """Set the random generators for an epoch, so that its dropout does not depend on the epochs before."""
        for position, state in enumerate(self._network.random_states):
            state.assign(np.random.SeedSequence([self._seed, epoch, position]).generate_state(2) >> 1)

    @property
    def weights(self) -> list[Array]:
        """The values of the trained variables."""
        return values(self.variables)

    @property
    def state(self) -> list[Array]:
        """The state of the optimizers."""
        return values([variable for optimizer in self._optimizers for variable in optimizer.variables])

    def restore(self, weights: list[Array], state: list[Array]) -> None:
        """Set the trained variables and the state of the optimizers."""
        assign(self.variables, weights)
        assign([variable for optimizer in self._optimizers for variable in optimizer.variables], state)

    def _compile(self, forward: Network | LiveNetwork, groups: list[list[Any]], smoothing: float) -> Callable[..., Any]:
        bounds = [0, *np.cumsum([len(group) for group in groups]).tolist()]
        slices = [slice(*bound) for bound in pairwise(bounds)]
        sources = [variable.value for group in groups for variable in group]

        def train(*arguments: Any) -> tuple[Any, Any]:
            *inputs, targets = arguments
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                logits = forward.logits(inputs)
                smooth = targets * (1 - smoothing) + smoothing / self.classes
                loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(smooth, logits))
            gradients = tape.gradient(loss, sources)
            for optimizer, part in zip(self._optimizers, slices, strict=True):
                optimizer.apply(gradients[part])
            right = tf.argmax(logits, axis=1) == tf.argmax(targets, axis=1)
            return loss, tf.reduce_sum(tf.cast(right, tf.int32))

        targets = tf.TensorSpec([None, self.classes], tf.float32)
        compiled: Callable[..., Any] = tf.function(train, input_signature=[*forward.signature, targets])
        return compiled


def values(variables: list[Any]) -> list[Array]:
    """Return copies of the values of variables."""
    return [np.array(variable.numpy()) for variable in variables]


def assign(variables: list[Any], new_values: list[Array]) -> None:
    """Set variables to values."""
    for variable, value in zip(variables, new_values, strict=True):
        variable.assign(value)


def _schedule(rate: float, params: Finetuning, steps: int) -> Any:
    total = steps * params.epochs
    warmup = round(params.warmup * total)
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(rate, total)
    return keras.optimizers.schedules.CosineDecay(0.0, total - warmup, warmup_target=rate, warmup_steps=warmup)
