"""Networks with hidden layers, trained side by side: the kernels of M networks are one tensor [M, inputs, outputs]."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tasks.common.params import Head
from tasks.head.search.linear import Array, Ints

Floats = npt.NDArray[np.float32]

BATCH_SIZE = 256
# Rows that are predicted at once.
BLOCK = 4096


class Setting(NamedTuple):
    """Widths of the hidden layers, share of dropped values, weight decay and class weights [C] of a network."""

    hidden: tuple[int, ...]
    dropout: float
    weight_decay: float
    class_weights: tuple[float, ...]


class Trained(NamedTuple):
    """Result of M networks: logits [M, R, C] in their best epochs, these epochs [M], the wanted weights, the curves.

    `kernels` and `biases` have an item a layer, [M, inputs, outputs] and [M, outputs]. `curves` have a row an epoch:
    mean training loss and mean loss of the held-out rows, nan without such rows.
    """

    logits: Floats
    epochs: Ints
    kernels: list[Floats]
    biases: list[Floats]
    curves: list[tuple[float, float]]


class ParallelNetworks:
    """M networks of the same widths and M shares of dropped values, rows [N, D] to logits [M, N, C]."""

    def __init__(self, settings: Sequence[Setting], inputs: int, params: Head) -> None:
        """Draw the kernels as keras.layers.Dense does (Glorot and Bengio 2010); all networks start from the same."""
        self._number = number = len(settings)
        widths = [inputs, *settings[0].hidden, len(settings[0].class_weights)]
        random = np.random.default_rng(params.seed)
        self.kernels, self.biases = [], []
        for first, second in pairwise(widths):
            limit = np.sqrt(6 / (first + second))
            kernel = random.uniform(-limit, limit, (1, first, second)).astype(np.float32)
            self.kernels.append(keras.Variable(np.repeat(kernel, number, axis=0)))
            self.biases.append(keras.Variable(np.zeros((number, 1, second), np.float32)))
        self._kept = tf.constant([[[1 - setting.dropout]] for setting in settings], tf.float32)
        self._decay = tf.constant([[[setting.weight_decay]] for setting in settings], tf.float32)
        self._optimizer = keras.optimizers.AdamW(params.learning_rate, weight_decay=0.0)
        self._optimizer.build([*self.kernels, *self.biases])
        self._step = tf.function(self._train_step, reduce_retracing=True)
        self._forward = tf.function(self._logits, reduce_retracing=True)

    def train_step(self, batch: Floats, wanted: Floats, weights: Floats, number: int, rate: float) -> float:
        """Take a step on a batch [B, D] with targets [B, C] and weights [B, M]; return the mean loss."""
        return float(self._step(batch, wanted, weights, tf.constant(number, tf.int32), tf.constant(rate, tf.float32)))

    def predict(self, rows: Floats) -> Floats:
        """Return the logits [M, N, C] of rows [N, D]."""
        blocks = [self._forward(rows[start : start + BLOCK]).numpy() for start in range(0, len(rows), BLOCK)]
        return np.concatenate(blocks, axis=1)

    def _logits(self, rows: Any, number: Any = None) -> Any:
        """Return the logits; in the training step of that number, values are dropped at random."""
        # Without dropped values, the first product is of the same rows for all networks.
        values = rows[None] if number is None else tf.repeat(rows[None], self._number, axis=0)
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            values = tf.nn.relu(values) if index else values
            if number is not None:
                # All networks draw the same numbers, so that candidates differ in their settings alone.
                drawn = tf.random.stateless_uniform(tf.shape(values)[1:], tf.stack([number, index]))
                values = tf.where(drawn[None] < self._kept, values / self._kept, 0.0)
            values = tf.matmul(values, kernel.value) + bias.value
        return values

    def _train_step(self, batch: Any, wanted: Any, weights: Any, number: Any, rate: Any) -> Any:
        variables = [*self.kernels, *self.biases]
        with tf.GradientTape() as tape:
            logits = self._logits(batch, number)
            labels = tf.broadcast_to(wanted[None], tf.shape(logits))
            losses = tf.nn.softmax_cross_entropy_with_logits(labels, logits) * tf.transpose(weights)
            total = tf.reduce_mean(losses, axis=1)
            loss = tf.reduce_sum(total)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        for kernel in self.kernels:
            kernel.assign(kernel * (1 - rate * self._decay))
        self._optimizer.learning_rate.assign(rate)
        self._optimizer.apply(gradients)
        return tf.reduce_mean(total)


def train(
    rows: Floats,
    targets: Ints,
    settings: Sequence[Setting],
    row_weights: Array,
    held_out: npt.NDArray[np.bool_],
    params: Head,
    epochs: int | None = None,
) -> Trained:
    """Train a network for each setting and the row weights [M, R] beside it, on standardised rows [R, D].

    All settings have the same hidden layers. The rows of `held_out` [M, R] choose each network's best epoch, and end
    the training when none has become better for `params.patience` epochs; with `epochs` given, all are trained for as
    many instead. The learning rate falls along a half cosine over `params.epochs`.
    """
    classes = len(settings[0].class_weights)
    networks = ParallelNetworks(settings, rows.shape[1], params)
    smooth = params.label_smoothing
    wanted = (np.eye(classes, dtype=np.float32) * (1 - smooth) + smooth / classes)[targets].astype(np.float32)
    weights = (row_weights * np.array([setting.class_weights for setting in settings])[:, targets]).T
    weights = (weights / weights.mean(axis=0)).astype(np.float32)
    random = np.random.default_rng(params.seed)
    steps = -(-len(rows) // BATCH_SIZE)
    best_loss, best_epoch = np.full(len(settings), np.inf), np.zeros(len(settings), np.int64)
    best_logits = np.zeros((len(settings), len(rows), classes), np.float32)
    curves: list[tuple[float, float]] = []
    for epoch in range(epochs or params.epochs):
        order = random.permutation(len(rows))
        losses = []
        for number in range(epoch * steps, (epoch + 1) * steps):
            part = order[(number % steps) * BATCH_SIZE : (number % steps + 1) * BATCH_SIZE]
            rate = params.learning_rate * 0.5 * (1 + np.cos(np.pi * number / (params.epochs * steps)))
            losses.append(networks.train_step(rows[part], wanted[part], weights[part], number, rate))
        if epochs is not None:
            curves.append((float(np.mean(losses)), float("nan")))
            continue
        logits = networks.predict(rows)
        value = np.sum(_losses(logits, targets) * held_out, axis=1) / held_out.sum(axis=1)
        better = value < best_loss
        best_loss[better], best_epoch[better], best_logits[better] = value[better], epoch + 1, logits[better]
        curves.append((float(np.mean(losses)), float(value.mean())))
        if epoch + 1 - best_epoch.max() >= params.patience:
            break
    kernels = [kernel.numpy() for kernel in networks.kernels]
    return Trained(best_logits, best_epoch, kernels, [bias.numpy()[:, 0] for bias in networks.biases], curves)


def _losses(logits: Floats, targets: Ints) -> Floats:
    """Return the log loss of each row for each network, [M, R]."""
    top = logits.max(axis=2)
    sums = np.log(np.exp(logits - top[:, :, None]).sum(axis=2)) + top
    return np.asarray(sums - logits[:, np.arange(len(targets)), targets], np.float32)
