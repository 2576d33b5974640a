"""The epochs of training: the best weights are kept, the start counts as epoch 0, and divergence ends it."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tasks.common.params import Finetuning
from tasks.common.progress import SECONDS_BETWEEN_LINES, say
from tasks.finetuning import checkpoint
from tasks.finetuning.batches import Epochs
from tasks.finetuning.checkpoint import Checkpoint
from tasks.finetuning.optimization import Optimization
from tasks.finetuning.scores import Scores
from tasks.onnx.sessions import Array
from tasks.tables.history import Row

NAME = "finetuning"
# Training ends when the loss of an epoch is so many times that of the start, or of guessing if that is larger.
EXPLOSION = 10


class Fit(NamedTuple):
    """The result of training: the learning curves, the best epoch, its weights, and whether training diverged."""

    history: list[Row]
    best_epoch: int
    best: list[Array]
    diverged: bool


def fit(
    optimization: Optimization,
    batches: Epochs,
    score: Callable[[], Scores] | None,
    epochs: int,
    params: Finetuning,
    file: Path,
    warn: Callable[[str], None],
) -> Fit:
    """Train for `epochs` epochs at most; the state after each is in `file`, from which a later call goes on.

    `score` computes the validation loss of the weights as they are; training stops when it has not fallen for
    `params.patience` epochs. Without it the last epoch counts as the best. When the loss is not finite or explodes,
    training ends with the best weights so far, and `warn` gets the reason.
    """
    state = _resume(file, optimization) or _start(optimization, score)
    lines = _Lines(state.epoch, epochs, len(batches))
    limit = EXPLOSION * max(state.history[0]["val_loss"] or 0.0, math.log(optimization.classes))
    for epoch in range(state.epoch + 1, epochs + 1):
        if score and state.epoch - state.best_epoch >= params.patience:
            break
        row = _train(optimization, batches, epoch, limit, lines, warn)
        scores = score() if row and score else None
        if row is None or (scores and not math.isfinite(scores.loss)):
            if row is not None:
                warn(_divergence("the validation loss is not finite", epoch, optimization, len(batches)))
            return Fit(state.history, state.best_epoch, state.best, diverged=True)
        row |= {"val_loss": scores.loss if scores else None, "val_accuracy": scores.accuracy if scores else None}
        state = _advance(state, row, optimization)
        checkpoint.write(file, state)
        lines.show(epoch, 0, row["train_loss"], row["val_accuracy"])
    return Fit(state.history, state.best_epoch, state.best, diverged=False)


def _start(optimization: Optimization, score: Callable[[], Scores] | None) -> Checkpoint:
    scores = score() if score else None
    row: Row = {
        "epoch": 0,
        "train_loss": None,
        "train_accuracy": None,
        "val_loss": scores.loss if scores else None,
        "val_accuracy": scores.accuracy if scores else None,
    }
    return Checkpoint([row], 0, optimization.weights, optimization.weights, optimization.state)


def _resume(file: Path, optimization: Optimization) -> Checkpoint | None:
    state = checkpoint.read(file)
    if state is not None:
        say(f"{NAME}: an earlier run was interrupted; training goes on after its epoch {state.epoch}")
        optimization.restore(state.weights, state.optimizer)
    return state


def _advance(state: Checkpoint, row: Row, optimization: Optimization) -> Checkpoint:
    weights = optimization.weights
    loss, best_loss = row["val_loss"], state.history[state.best_epoch]["val_loss"]
    is_best = loss is None or best_loss is None or loss < best_loss
    return Checkpoint(
        [*state.history, row],
        len(state.history) if is_best else state.best_epoch,
        weights,
        weights if is_best else state.best,
        optimization.state,
    )


def _train(
    optimization: Optimization,
    batches: Epochs,
    epoch: int,
    limit: float,
    lines: "_Lines",
    warn: Callable[[str], None],
) -> Row | None:
    """Return loss and accuracy of an epoch, or None, with a warning, when the loss is not finite or above `limit`."""
    optimization.draw_dropout(epoch)
    total, right, rows = 0.0, 0, 0
    for step, batch in enumerate(batches.epoch(epoch)):
        loss, batch_right = optimization.step(batch.inputs, batch.targets)
        if not math.isfinite(loss):
            warn(_divergence("the loss is not finite", epoch, optimization, step + 1))
            return None
        total += loss * len(batch.targets)
        right += batch_right
        rows += len(batch.targets)
        lines.show(epoch - 1, step + 1, total / rows, None)
    if total / rows > limit:
        warn(_divergence(f"the loss has grown to {total / rows:.3g}", epoch, optimization, len(batches)))
        return None
    return {"epoch": epoch, "train_loss": total / rows, "train_accuracy": right / rows}


def _divergence(reason: str, epoch: int, optimization: Optimization, steps: int) -> str:
    rate = max(optimization.rate(epoch, step) for step in range(steps))
    return (
        f"{reason} in epoch {epoch} at a learning rate of up to {rate:.2g}; training stops and the best weights so far "
        "are kept. Lower finetuning.learning_rate."
    )


class _Lines:
    """Prints a line of progress every few seconds."""

    def __init__(self, first: int, epochs: int, steps: int) -> None:
        self._first, self._epochs, self._steps = first, epochs, steps
        self._start = self._last = time.monotonic()
        self._accuracy = ""

    def show(self, epoch: int, step: int, loss: float | None, accuracy: float | None) -> None:
        """Print the state after `epoch` whole epochs and `step` steps of the next, unless the last line is recent."""
        if accuracy is not None:
            self._accuracy = f", validation accuracy {accuracy:.1%}"
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LINES:
            return
        done = epoch + step / self._steps
        left = (now - self._start) / (done - self._first) * (self._epochs - done)
        say(f"{NAME}: epoch {done:.1f} of at most {self._epochs}, loss {loss:.3f}{self._accuracy}, {left:,.0f} s left")
        self._last = now
