"""The quality of predictions for images that the model had not seen."""

from typing import Any

import numpy as np

from tasks.calibration.intervals import wilson_interval
from tasks.tables.held_out import HeldOut


def measure(table: HeldOut, confidence: float) -> dict[str, Any]:
    """Return accuracy with its interval at this level of confidence, macro-averaged F1, and the number of images."""
    position = {name: index for index, name in enumerate(table.classes)}
    actual = np.array([position[label] for label in table.labels])
    predicted = table.probabilities.argmax(axis=1)
    low, high = wilson_interval(int((predicted == actual).sum()), len(actual), confidence)
    counts = np.zeros((len(table.classes), len(table.classes)), np.int64)
    np.add.at(counts, (actual, predicted), 1)
    # A class that neither occurs nor is predicted has F1 0, as in the stage `evaluation`.
    f1 = 2 * np.diag(counts) / np.maximum(counts.sum(axis=0) + counts.sum(axis=1), 1)
    return {
        "accuracy": float((predicted == actual).mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "confidence": confidence,
        "macro_f1": float(f1.mean()),
        "images": len(actual),
    }
