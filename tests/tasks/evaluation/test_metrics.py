import pytest

from tasks.calibration.intervals import wilson_interval
from tasks.evaluation.metrics import class_metrics, overall_metrics

# Hand-counted: rows are actual a, b, c; columns predicted a, b, c.
CONFUSION = {"a": (4, 1, 0), "b": (2, 3, 0), "c": (0, 1, 1)}
CLASSES = ["a", "b", "c"]
ACTUAL = [name for name, counts in CONFUSION.items() for _ in range(sum(counts))]
PREDICTED = [CLASSES[column] for counts in CONFUSION.values() for column, n in enumerate(counts) for _ in range(n)]


def test_the_accuracy_has_wilsons_interval() -> None:
    metrics = overall_metrics(["a"] * 10, ["a"] * 8 + ["b"] * 2, ["a", "b"], 0.9)
    assert (metrics["accuracy_low"], metrics["accuracy_high"]) == wilson_interval(8, 10, 0.9)
    assert (metrics["confidence"], metrics["images"]) == (0.9, 10)


def test_accuracy_and_macro_f1_are_those_counted_by_hand() -> None:
    metrics = overall_metrics(ACTUAL, PREDICTED, CLASSES, 0.95)
    assert metrics["accuracy"] == pytest.approx(8 / 12)
    # F1 is 2 * right / (actual + predicted): 8 of 11, 6 of 10, 2 of 3.
    assert metrics["macro_f1"] == pytest.approx((8 / 11 + 6 / 10 + 2 / 3) / 3)


def test_the_rows_by_class_are_those_counted_by_hand() -> None:
    expected = [("a", 4 / 6, 4 / 5, 8 / 11, 5), ("b", 3 / 5, 3 / 5, 6 / 10, 5), ("c", 1.0, 1 / 2, 2 / 3, 2)]
    for row, (name, *values) in zip(class_metrics(ACTUAL, PREDICTED, CLASSES), expected, strict=True):
        assert list(row) == ["class", "precision", "recall", "f1", "images"]
        assert row["class"] == name
        assert list(row.values())[1:] == pytest.approx(values)


@pytest.mark.parametrize(
    ("actual", "predicted", "row"),
    [
        ("aab", "aab", {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0}),
        ("aab", "aac", {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0}),
        ("aac", "aaa", {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 1}),
    ],
    ids=["neither actual nor predicted", "predicted only", "actual only"],
)
def test_a_class_that_is_absent_counts_as_nought(
    actual: str, predicted: str, row: dict[str, float], recwarn: pytest.WarningsRecorder
) -> None:
    assert class_metrics(list(actual), list(predicted), CLASSES)[2] == {"class": "c"} | row
    others = sum(row["f1"] for row in class_metrics(list(actual), list(predicted), CLASSES)[:2])
    assert overall_metrics(list(actual), list(predicted), CLASSES, 0.95)["macro_f1"] == pytest.approx(others / 3)
    assert len(recwarn) == 0


def test_the_order_of_the_classes_is_the_order_of_the_rows() -> None:
    rows = class_metrics(ACTUAL, PREDICTED, ["c", "a", "b"])
    assert [row["class"] for row in rows] == ["c", "a", "b"]
    assert [row["images"] for row in rows] == [2, 5, 5]
