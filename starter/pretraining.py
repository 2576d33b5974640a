"""Pretraining: MobileNet learns to tell the classes of the generated worlds apart; its base is what we keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from starter.warp import SIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

ALPHA = 0.25
_SHIFT = 6
_INVERTED = 0.5


@dataclass(frozen=True)
class Recipe:
    """How to train; `steps` batches are seen in all."""

    steps: int
    batch: int = 32
    peak_rate: float = 2e-3
    warm_up: int = 300
    weight_decay: float = 0.02
    clip: float = 1.0
    smoothing: float = 0.05
    seed: int = 0
    threads: int = 2


def set_up(seed: int, threads: int) -> None:
    """Seed everything, fix the thread counts and ask for deterministic kernels; call before TensorFlow has run.

    The bytes of trained weights depend on the thread count, so it is part of a recipe.
    """
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def new_base(seed: int | None = None) -> keras.Model:
    """Return the network with random weights: MobileNet, alpha 0.25, 64x64 RGB in -1..1, no top."""
    if seed is not None:
        keras.utils.set_random_seed(seed)
    return keras.applications.MobileNet(input_shape=(SIDE, SIDE, 3), alpha=ALPHA, include_top=False, weights=None)


def pretrain(
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int32],
    classes: int,
    recipe: Recipe,
    report: Callable[[int, float, float, keras.Model], None] = lambda *_: None,
) -> keras.Model:
    """Train a new base under a softmax over the classes and return the base.

    Takes pictures, uint8 [n, SIDE, SIDE, 3], and labels, int32 [n]. AdamW with linear warm-up and cosine decay to
    zero; biases and BatchNorm are spared the weight decay. After every step `report` gets the number of the step from
    1, the loss, the training accuracy of the batch and the base.
    """
    base = new_base(recipe.seed)
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    model = keras.Model(base.input, keras.layers.Dense(classes, dtype="float32")(pooled))
    warm_up = min(recipe.warm_up, max(1, recipe.steps // 5))
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            1e-6, recipe.steps - warm_up, warmup_target=recipe.peak_rate, warmup_steps=warm_up
        ),
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.smoothing)

    def train(batch: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = model(tf.cast(batch, tf.float32) / 127.5 - 1.0, training=True)
            loss = loss_of(tf.one_hot(targets, classes), logits)
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
        hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), targets)
        return loss, tf.reduce_mean(tf.cast(hits, tf.float32))

    signature = [tf.TensorSpec((None, SIDE, SIDE, 3), tf.uint8), tf.TensorSpec((None,), tf.int32)]
    step = tf.function(train, input_signature=signature)
    for number, (batch, targets) in enumerate(_batches(pictures, labels, recipe), start=1):
        loss, accuracy = step(batch, targets)
        report(number, float(loss), float(accuracy), base)
    return base


def _batches(
    pictures: NDArray[np.uint8], labels: NDArray[np.int32], recipe: Recipe
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    """Yield `steps` augmented batches, passing through all the images in a new order every time."""
    rng = np.random.default_rng(recipe.seed)
    order = np.empty(0, dtype=np.intp)
    for _ in range(recipe.steps):
        while len(order) < recipe.batch:
            order = np.concatenate([order, rng.permutation(len(pictures))])
        chosen, order = order[: recipe.batch], order[recipe.batch :]
        yield np.stack([augment(pictures[index], rng) for index in chosen]), labels[chosen]


def augment(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shift a picture by up to 6 pixels (its edge is repeated), mix up its channels, invert it, change its gain."""
    dx, dy = rng.integers(-_SHIFT, _SHIFT + 1, 2)
    rows = np.clip(np.arange(SIDE) + dy, 0, SIDE - 1)
    columns = np.clip(np.arange(SIDE) + dx, 0, SIDE - 1)
    picture = picture[rows][:, columns][..., rng.permutation(3)]
    levels = np.arange(256, dtype=np.float32)
    if rng.random() < _INVERTED:
        levels = 255 - levels
    levels = (levels - 127.5) * rng.uniform(0.6, 1.3) + 127.5 + rng.uniform(-25, 25)
    table = np.clip(levels, 0, 255).astype(np.uint8)
    return table[picture]
