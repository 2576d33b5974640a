"""Pretraining: MobileNet is trained to classify the generated images; only its base is kept."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from starter.warp import SIDE
from tasks.common.progress import say, track

ALPHA = 0.25
MAX_SHIFT = 6
INVERSION_CHANCE = 0.5
STEPS_BETWEEN_REPORTS = 500


@dataclass(frozen=True)
class TrainingSettings:
    """How to train: `steps` batches of `batch` images."""

    steps: int
    batch: int = 32
    peak_rate: float = 2e-3
    warm_up: int = 300
    weight_decay: float = 0.02
    clip: float = 1.0
    smoothing: float = 0.05
    seed: int = 0


def set_up(seed: int, threads: int) -> None:
    """Seed everything, fix the thread counts and ask for deterministic kernels; call before TensorFlow has run.

    The bytes of trained weights depend on the thread count, so it is an option of the command.
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
    images: npt.NDArray[np.uint8],
    class_indexes: npt.NDArray[np.int32],
    classes: int,
    settings: TrainingSettings,
) -> keras.Model:
    """Train a new base under a softmax over the classes and show the progress.

    The images are uint8 [n, SIDE, SIDE, 3], the class indexes int32 [n]. The optimizer is AdamW with linear warm-up and
    cosine decay to zero; biases and BatchNorm have no weight decay.

    Returns:
        The base without the softmax.
    """
    base = new_base(settings.seed)
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    model = keras.Model(base.input, keras.layers.Dense(classes, dtype="float32")(pooled))
    warm_up = min(settings.warm_up, max(1, settings.steps // 5))
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            1e-6, settings.steps - warm_up, warmup_target=settings.peak_rate, warmup_steps=warm_up
        ),
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.smoothing)

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
    recent: deque[tuple[float, float]] = deque(maxlen=STEPS_BETWEEN_REPORTS)
    batches = enumerate(_batches(images, class_indexes, settings), start=1)
    for number, (batch, targets) in track(batches, settings.steps, "pretraining", unit="steps"):
        loss, accuracy = step(batch, targets)
        recent.append((float(loss), float(accuracy)))
        if number % STEPS_BETWEEN_REPORTS == 0 or number == settings.steps:
            mean_loss, mean_accuracy = np.mean(recent, axis=0)
            say(f"step {number:,}: loss {mean_loss:.2f}, training accuracy {100 * mean_accuracy:.0f} %")
    return base


def _batches(
    images: npt.NDArray[np.uint8], class_indexes: npt.NDArray[np.int32], settings: TrainingSettings
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]]:
    """Yield `steps` batches of augmented images and their class indexes; each epoch has its own order."""
    rng = np.random.default_rng(settings.seed)
    order = np.empty(0, dtype=np.intp)
    for _ in range(settings.steps):
        while len(order) < settings.batch:
            order = np.concatenate([order, rng.permutation(len(images))])
        positions, order = order[: settings.batch], order[settings.batch :]
        yield np.stack([augment(images[position], rng) for position in positions]), class_indexes[positions]


def augment(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Augment an image, uint8 [SIDE, SIDE, 3].

    Returns:
        A copy that is shifted by up to 6 pixels (the edges are repeated), with permuted channels and another gain and
        offset; half of the copies are inverted.
    """
    dx, dy = rng.integers(-MAX_SHIFT, MAX_SHIFT + 1, 2)
    rows = np.clip(np.arange(SIDE) + dy, 0, SIDE - 1)
    columns = np.clip(np.arange(SIDE) + dx, 0, SIDE - 1)
    image = image[rows][:, columns][..., rng.permutation(3)]
    levels = np.arange(256, dtype=np.float32)
    if rng.random() < INVERSION_CHANCE:
        levels = 255 - levels
    levels = (levels - 127.5) * rng.uniform(0.6, 1.3) + 127.5 + rng.uniform(-25, 25)
    table = np.clip(levels, 0, 255).astype(np.uint8)
    return table[image]
