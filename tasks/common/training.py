"""How Graft trains with Keras: repeatable, stopped early, with its curves kept."""

import csv
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tasks.common.params import Training
from tasks.common.progress import SECONDS_BETWEEN_LINES, say

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


def make_repeatable(seed: int, threads: int) -> None:
    """Fix seeds, thread counts and kernels, so that the same run gives the same bytes. Call before anything else."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def fit(
    model: keras.Model, train: tuple[Any, Ints], val: tuple[Any, Ints], classes: int, params: Training, label: str
) -> list[dict[str, float]]:
    """Train with AdamW on smoothed cross-entropy until the validation loss no longer falls; keep the best weights.

    `train` and `val` are inputs [N, ...] and class numbers [N]. The rate falls along a half cosine over `epochs`.
    Returns a row an epoch with the keys of COLUMNS. Loss and accuracy of `val` have no dropout.
    """
    steps = -(-len(train[1]) // params.batch_size) * params.epochs
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(params.learning_rate, steps), weight_decay=params.weight_decay
        ),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=params.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,
    )
    history = model.fit(
        train[0],
        keras.utils.to_categorical(train[1], classes),
        batch_size=params.batch_size,
        validation_data=(val[0], keras.utils.to_categorical(val[1], classes)),
        epochs=params.epochs,
        callbacks=[
            keras.callbacks.EarlyStopping("val_loss", patience=params.patience, restore_best_weights=True),
            EpochLines(label, params.epochs),
        ],
        verbose=0,
    ).history
    keys = ("loss", "accuracy", "val_loss", "val_accuracy")
    return [
        dict(zip(COLUMNS, (epoch, *(history[key][epoch] for key in keys)), strict=True))
        for epoch in range(len(history["loss"]))
    ]


def summary(history: list[dict[str, float]]) -> dict[str, float]:
    """Return what the best epoch reached: its number, and loss and accuracy on the validation split."""
    best = min(history, key=lambda row: row["val_loss"])
    return {
        "epochs": len(history),
        "best_epoch": best["epoch"],
        "val_loss": best["val_loss"],
        "val_accuracy": best["val_accuracy"],
    }


def write_history(history: list[dict[str, float]], path: Path) -> None:
    """Write the learning curves as CSV, one row an epoch."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(history)


class EpochLines(keras.callbacks.Callback):
    """A line of progress every few seconds."""

    def __init__(self, label: str, epochs: int) -> None:
        """Name the work and its upper limit of epochs."""
        super().__init__()
        self._label, self._epochs, self._last = label, epochs, time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Say how far training has come, unless a line was written just before."""
        now = time.monotonic()
        if logs and now - self._last >= SECONDS_BETWEEN_LINES:
            accuracy = f"validation accuracy {logs['val_accuracy']:.1%}"
            say(f"{self._label}: epoch {epoch + 1} of at most {self._epochs}, {accuracy}")
            self._last = now
