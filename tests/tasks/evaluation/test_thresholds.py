from typing import Any

import numpy as np
import pytest

from tasks.calibration.intervals import wilson_interval
from tasks.evaluation.thresholds import COLUMNS, measure_points, measure_sets, measure_unknown, missed_points

CLASSES = ["a", "b", "c"]
ACTUAL = ["a", "a", "a", "b", "b", "c"]
PROBABILITIES = np.array(
    [[0.75, 0.25, 0], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.5, 0.5, 0], [0.25, 0.75, 0], [0.5, 0.25, 0.25]],
    np.float32,
)


def point(threshold: float, measure: str = "precision", wanted: float = 0.9) -> dict[str, Any]:
    return {"measure": measure, "wanted": wanted, "threshold": threshold}


def test_the_figures_of_a_point_are_those_counted_by_hand_with_wilsons_intervals() -> None:
    [row] = measure_points({"a": point(0.5)}, ACTUAL, PROBABILITIES, CLASSES, 0.95)
    assert list(row) == COLUMNS
    # Images 1, 2, 4 and 6 are at the threshold or above it.
    assert row == {
        "class": "a",
        "measure": "precision",
        "wanted": 0.9,
        "threshold": 0.5,
        "images": 3,
        "predicted": 4,
        **dict(zip(COLUMNS[6:9], (2 / 4, *wilson_interval(2, 4, 0.95)), strict=True)),
        **dict(zip(COLUMNS[9:], (2 / 3, *wilson_interval(2, 3, 0.95)), strict=True)),
    }


@pytest.mark.parametrize(
    ("name", "threshold", "empty"),
    [("a", 0.9, "precision"), ("c", 0.1, "recall")],
    ids=["no image is predicted", "the class has no image"],
)
def test_a_share_of_no_images_is_left_empty(name: str, threshold: float, empty: str) -> None:
    [row] = measure_points({name: point(threshold, empty)}, ACTUAL[:5], PROBABILITIES[:5], CLASSES, 0.95)
    assert [key for key, value in row.items() if value is None] == [empty, f"{empty}_low", f"{empty}_high"]
    assert missed_points([row]) == []


def test_a_point_is_missed_when_its_whole_interval_lies_below_the_wanted_figure() -> None:
    probabilities = np.repeat(np.array([[1, 0], [0, 1]], np.float32), 20, axis=0)
    actual = ["x"] * 15 + ["y\n"] * 25
    points = {"x": point(0.5, wanted=0.85), "y\n": point(0.5, "recall", 0.95)}
    rows = measure_points(points, actual, probabilities, ["x", "y\n"], 0.95)
    assert missed_points(rows) == [
        (
            r"the threshold of class 'y\n' for a recall of 95.0% has one of 80.0% on the test images "
            "(interval 60.9% to 91.1%)"
        )
    ]


def test_the_sets_of_classes_are_counted_with_all_classes_from_the_threshold_on() -> None:
    figures = measure_sets({"share": 0.8, "threshold": 0.5}, ACTUAL, PROBABILITIES, CLASSES, 0.9)
    low, high = wilson_interval(4, 6, 0.9)
    assert figures == {"coverage": 4 / 6, "coverage_low": low, "coverage_high": high, "set_size": 7 / 6}


def test_the_share_of_unknown_images_counts_those_below_the_threshold() -> None:
    known = np.array([0.1, 0.5, 0.25, 0.9], np.float32)
    low, high = wilson_interval(2, 4, 0.95)
    expected = {"unknown": 0.5, "unknown_low": low, "unknown_high": high}
    assert measure_unknown({"threshold": 0.5}, known, 0.95) == expected


def test_a_file_without_sets_and_without_the_output_known_has_no_figures_of_them() -> None:
    assert measure_sets({}, ACTUAL, PROBABILITIES, CLASSES, 0.95) == {}
    assert measure_unknown({}, None, 0.95) == {}
    assert measure_unknown({}, np.array([0.5], np.float32), 0.95) == {}
