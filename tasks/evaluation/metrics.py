"""The quality of predictions, over all images and class by class."""

from collections.abc import Sequence
from typing import Any

from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from tasks.calibration.intervals import wilson_interval


def overall_metrics(
    actual: Sequence[str], predicted: Sequence[str], classes: Sequence[str], confidence: float
) -> dict[str, Any]:
    """Return the count, the accuracy with its interval, and the macro-averaged F1 of the predictions."""
    right = sum(label == guess for label, guess in zip(actual, predicted, strict=True))
    low, high = wilson_interval(right, len(actual), confidence)
    return {
        "images": len(actual),
        "accuracy": float(accuracy_score(actual, predicted)),
        "accuracy_low": low,
        "accuracy_high": high,
        "confidence": confidence,
        "macro_f1": float(f1_score(actual, predicted, labels=list(classes), average="macro", zero_division=0)),
    }


def class_metrics(actual: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row a class: its precision, recall, F1 and number of images."""
    columns = precision_recall_fscore_support(actual, predicted, labels=list(classes), zero_division=0)
    return [
        {"class": name, "precision": float(precision), "recall": float(recall), "f1": float(f1), "images": int(images)}
        for name, precision, recall, f1, images in zip(classes, *columns, strict=True)
    ]
