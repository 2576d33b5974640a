"""The quality of predictions, over all images and class by class, with intervals."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.calibration.intervals import f1_interval, mean_interval, wilson_interval
from tasks.evaluation.test_set import Indices, TestSet

# A mistake lowers the F1 of two classes, the given and the predicted one. Their errors therefore have something in
# common, which doubles the variance of the mean at most.
SHARED_MISTAKES = 1.0


def overall_metrics(test: TestSet) -> dict[str, Any]:
    """Return the number of images, and the accuracy and the macro-averaged F1 of the predictions with intervals."""
    low, high = wilson_interval(int(test.right.sum()), len(test.paths), test.confidence)
    rows = class_metrics(test)
    # A class that neither occurs nor is predicted has F1 0, and nothing is known of it.
    intervals = [(row["f1_low"], row["f1_high"]) if row["f1_low"] is not None else (0.0, 1.0) for row in rows]
    scores = [row["f1"] for row in rows]
    macro_low, macro_high = mean_interval(scores, intervals, SHARED_MISTAKES)
    return {
        "images": len(test.paths),
        "accuracy": float(test.right.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "confidence": test.confidence,
        "macro_f1": sum(scores) / len(scores),
        "macro_f1_low": macro_low,
        "macro_f1_high": macro_high,
    }


def class_metrics(test: TestSet) -> list[dict[str, Any]]:
    """Return a row a class: its precision, recall and F1 with their intervals, and its number of images.

    A share of no images is 0, and the ends of its interval are None.
    """
    counts = confusion_counts(test.actual, test.predicted, len(test.classes))
    rows = []
    for number, name in enumerate(test.classes):
        hits, images, predicted = (
            int(n) for n in (counts[number, number], counts[number].sum(), counts[:, number].sum())
        )
        row: dict[str, Any] = {"class": name, "images": images}
        for key, total in (("precision", predicted), ("recall", images)):
            interval = wilson_interval(hits, total, test.confidence) if total else (None, None)
            row |= {key: hits / total if total else 0.0, f"{key}_low": interval[0], f"{key}_high": interval[1]}
        either = images + predicted - hits
        interval = f1_interval(hits, either - hits, test.confidence) if either else (None, None)
        row |= {"f1": 2 * hits / max(images + predicted, 1), "f1_low": interval[0], "f1_high": interval[1]}
        rows.append(row)
    return rows


def confusion_counts(actual: Indices, predicted: Indices, classes: int) -> npt.NDArray[np.int64]:
    """Return the number of images by actual class, a row each, and predicted class, int64 [classes, classes]."""
    return np.bincount(actual * classes + predicted, minlength=classes * classes).reshape(classes, classes)
