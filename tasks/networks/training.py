"""Training with Keras: repeatable, stopped early, with the learning curves kept."""

import math
import time
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tasks.common.errors import GraftError
from tasks.common.params import Training
from tasks.common.progress import SECONDS_BETWEEN_LINES, say
from tasks.tables import history

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def make_repeatable(seed: int, threads: int) -> None:
    """Fix seeds, thread counts and kernels, so that equal runs give equal bytes; call it before any other operation."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


class Batches(keras.utils.PyDataset):
    """Batches of inputs [N, ...] and one-hot targets, in another order in every epoch or always in their own."""

    def __init__(self, inputs: Floats, targets: Ints, classes: int, size: int, seed: int | None) -> None:
        """Shuffle before every epoch with `seed`, or keep the order when it is None; `targets` are in [0, classes)."""
        super().__init__()
        self._inputs, self._size = inputs, size
        self._targets = np.eye(classes, dtype=np.float32)[targets]
        self._order = np.arange(len(targets))
        self._random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        """Return the number of batches; the last may be smaller."""
        return math.ceil(len(self._order) / self._size)

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        """Return the batch of that index in the epoch."""
        # Within a batch the order does not matter, and sorted rows are read faster.
        rows = np.sort(self._order[index * self._size : (index + 1) * self._size])
        return np.asarray(self._inputs[rows]), self._targets[rows]

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order."""
        if self._random is not None:
            self._random.shuffle(self._order)


def fit(
    model: keras.Model,
    train: tuple[Floats, Ints],
    val: tuple[Floats, Ints],
    classes: int,
    params: Training,
    title: str,
    class_weight: Mapping[int, float] | None = None,
) -> list[dict[str, float]]:
    """Train with AdamW on smoothed cross-entropy until the validation loss stops falling; restore the best weights.

    `train` and `val` are inputs [N, ...] and class indices [N]. The learning rate falls along a half cosine over
    `params.epochs`. Lines of progress begin with `title`. `class_weight` has the factors of the classes' losses.

    Returns:
        A row an epoch, with the columns of history.csv. Loss and accuracy of `val` are computed without dropout.

    Raises:
        GraftError: A loss is not finite.
    """
    steps = math.ceil(len(train[1]) / params.batch_size) * params.epochs
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(params.learning_rate, steps), weight_decay=params.weight_decay
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=params.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,
    )
    curves = model.fit(
        Batches(*train, classes, params.batch_size, params.seed),
        validation_data=Batches(*val, classes, params.batch_size, seed=None),
        epochs=params.epochs,
        callbacks=[
            keras.callbacks.EarlyStopping("val_loss", patience=params.patience, restore_best_weights=True),
            EpochLines(title, params.epochs),
            keras.callbacks.TerminateOnNaN(),
        ],
        class_weight=None if class_weight is None else dict(class_weight),
        verbose=0,
    ).history
    keys = ("loss", "accuracy", "val_loss", "val_accuracy")
    for epoch in range(len(curves["loss"])):
        if not (math.isfinite(curves["loss"][epoch]) and math.isfinite(curves["val_loss"][epoch])):
            message = (
                f"{title}: the loss is not finite in epoch {epoch + 1} at a learning rate of up to "
                f"{params.learning_rate:g}. Lower {title}.learning_rate, or check the features for values that are not "
                "finite."
            )
            raise GraftError(message)
    return [
        dict(zip(history.COLUMNS, (epoch, *(curves[key][epoch] for key in keys)), strict=True))
        for epoch in range(len(curves["loss"]))
    ]


class EpochLines(keras.callbacks.Callback):
    """Print a line of progress every few seconds."""

    def __init__(self, title: str, epochs: int) -> None:
        """Begin each line with `title`; `epochs` is the upper limit."""
        super().__init__()
        self._title, self._epochs, self._last = title, epochs, time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print epoch and validation accuracy, unless the last line is only moments old."""
        now = time.monotonic()
        if logs and now - self._last >= SECONDS_BETWEEN_LINES:
            accuracy = f"validation accuracy {logs['val_accuracy']:.1%}"
            say(f"{self._title}: epoch {epoch + 1} of at most {self._epochs}, {accuracy}")
            self._last = now
