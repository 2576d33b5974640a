"""The learning curves of a training, `history.csv`: a row an epoch, and the header alone where nothing was trained."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

COLUMNS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")

Row = dict[str, float | None]
"""An epoch, with the keys of COLUMNS; accuracies are in [0, 1], and None stands for a value that was not computed."""


def write(path: Path, rows: Iterable[Mapping[str, float | None]]) -> None:
    """Write the learning curves as CSV; a value of None leaves its field empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
