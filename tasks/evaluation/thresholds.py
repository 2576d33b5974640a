"""The thresholds in the exported file, tested on images that neither training nor their choice has seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.calibration.intervals import wilson_interval
from tasks.common.text import printable

Floats = npt.NDArray[np.float32]

COLUMNS = [
    *("class", "measure", "wanted", "threshold", "images", "predicted"),
    *("precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high"),
]


def measure_points(
    points: Mapping[str, Mapping[str, Any]],
    actual: Sequence[str],
    probabilities: Floats,
    classes: Sequence[str],
    confidence: float,
) -> list[dict[str, Any]]:
    """Return a row with COLUMNS for each operating point: its precision and recall with their intervals.

    Args:
        points: ModelMetadata.operating_points.
        actual: the classes of N images.
        probabilities: of all classes, float32 [N, classes].
        classes: names in the order of the probabilities.
        confidence: level of the intervals.

    Returns:
        `images` is the number of images of the class, and `predicted` that of the images above the threshold. A share
        of no images is None.
    """
    labels = np.array(actual)
    rows = []
    for name, point in points.items():
        is_class = labels == name
        chosen = probabilities[:, classes.index(name)] >= point["threshold"]
        hits, images, predicted = (int(mask.sum()) for mask in (is_class & chosen, is_class, chosen))
        row = {"class": name, "measure": point["measure"], "wanted": point["wanted"], "threshold": point["threshold"]}
        row |= {"images": images, "predicted": predicted}
        rows.append(row | _share("precision", hits, predicted, confidence) | _share("recall", hits, images, confidence))
    return rows


def missed_points(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a warning for each row whose interval lies below the wanted figure."""
    warnings = []
    for row in rows:
        measure = row["measure"]
        share, low, high = row[measure], row[f"{measure}_low"], row[f"{measure}_high"]
        if share is not None and high < row["wanted"]:
            warnings.append(
                f"the threshold of class '{printable(row['class'])}' for a {measure} of {row['wanted']:.1%} has one of "
                f"{share:.1%} on the test images (interval {low:.1%} to {high:.1%})"
            )
    return warnings


def measure_sets(
    coverage: Mapping[str, Any], actual: Sequence[str], probabilities: Floats, classes: Sequence[str], confidence: float
) -> dict[str, Any]:
    """Return the share of the sets of classes that have the right one, with its interval, and their mean size.

    Args:
        coverage: ModelMetadata.coverage; if it is empty, so is the result.
        actual: the classes of N images.
        probabilities: of all classes, float32 [N, classes].
        classes: names in the order of the probabilities.
        confidence: level of the interval.
    """
    if not coverage:
        return {}
    members = probabilities >= coverage["threshold"]
    position = {name: index for index, name in enumerate(classes)}
    right = members[np.arange(len(actual)), [position[label] for label in actual]]
    size = {"set_size": float(members.sum(axis=1).mean())}
    return _share("coverage", int(right.sum()), len(actual), confidence) | size


def measure_unknown(novelty: Mapping[str, Any], known: Floats | None, confidence: float) -> dict[str, Any]:
    """Return the share of images that the file calls unknown, with its interval.

    Args:
        novelty: ModelMetadata.novelty.
        known: the output of that name for N images, float32 [N]; if the file has none, the result is empty.
        confidence: level of the interval.
    """
    if known is None or "threshold" not in novelty:
        return {}
    return _share("unknown", int((known < novelty["threshold"]).sum()), len(known), confidence)


def _share(name: str, hits: int, images: int, confidence: float) -> dict[str, float | None]:
    if images == 0:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson_interval(hits, images, confidence)
    return {name: hits / images, f"{name}_low": low, f"{name}_high": high}
