"""Checkpoints of training, one file an epoch, so that a run that was killed goes on where it was.

They lie in the user's cache under a name that stands for everything that decides the result.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tasks.common.files import atomic_file, cache_folder
from tasks.onnx.sessions import Array
from tasks.tables.history import Row

DAYS_KEPT = 30
SECONDS_A_DAY = 86_400


class Checkpoint(NamedTuple):
    """The state of training after an epoch.

    `history` has a row an epoch from epoch 0, `weights` are the trained variables and `best` those of `best_epoch`;
    `optimizer` is the state of the optimizers.
    """

    history: list[Row]
    best_epoch: int
    weights: list[Array]
    best: list[Array]
    optimizer: list[Array]

    @property
    def epoch(self) -> int:
        """The number of epochs that are done."""
        return len(self.history) - 1


def checkpoint_file(digest: str) -> Path:
    """Return the file of a training by the digest of everything that decides its result."""
    return cache_folder() / "finetuning" / f"{digest}.safetensors"


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write the whole file or nothing."""
    tensors = {
        f"{name}/{position}": np.asarray(value, order="C")
        for name in ("weights", "best", "optimizer")
        for position, value in enumerate(getattr(checkpoint, name))
    }
    facts = {"history": json.dumps(checkpoint.history), "best_epoch": str(checkpoint.best_epoch)}
    with atomic_file(path) as temporary:
        save_file(tensors, temporary, facts)


def read(path: Path) -> Checkpoint | None:
    """Return the checkpoint, or None if there is none or it is damaged."""
    try:
        with safe_open(path, "numpy") as file:
            facts, names = file.metadata(), list(file.keys())
            arrays = {
                group: [file.get_tensor(f"{group}/{position}") for position in range(_count(names, group))]
                for group in ("weights", "best", "optimizer")
            }
        return Checkpoint(json.loads(facts["history"]), int(facts["best_epoch"]), **arrays)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def prune(folder: Path) -> None:
    """Remove checkpoints that no run has touched for a month."""
    oldest = time.time() - DAYS_KEPT * SECONDS_A_DAY
    for path in folder.glob("*"):
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


def _count(names: Sequence[str], group: str) -> int:
    return sum(name.startswith(f"{group}/") for name in names)
