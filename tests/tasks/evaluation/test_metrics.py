import pytest

from tasks.calibration.intervals import f1_interval, wilson_interval
from tasks.evaluation.metrics import class_metrics, overall_metrics
from tests.tasks.evaluation.examples import make_test_set

# Hand-counted: rows are actual a, b, c; columns predicted a, b, c.
CONFUSION = {"a": (4, 1, 0), "b": (2, 3, 0), "c": (0, 1, 1)}
CLASSES = ["a", "b", "c"]
ACTUAL = [name for name, counts in CONFUSION.items() for _ in range(sum(counts))]
PREDICTED = [CLASSES[column] for counts in CONFUSION.values() for column, n in enumerate(counts) for _ in range(n)]
TEST = make_test_set(ACTUAL, PREDICTED, CLASSES)


def test_the_accuracy_has_wilsons_interval() -> None:
    metrics = overall_metrics(make_test_set(["a"] * 10, ["a"] * 8 + ["b"] * 2, ["a", "b"], 0.9))
    assert (metrics["accuracy_low"], metrics["accuracy_high"]) == wilson_interval(8, 10, 0.9)
    assert (metrics["confidence"], metrics["images"]) == (0.9, 10)


def test_accuracy_and_macro_f1_are_those_counted_by_hand() -> None:
    metrics = overall_metrics(TEST)
    assert metrics["accuracy"] == pytest.approx(8 / 12)
    # F1 is 2 * right / (actual + predicted): 8 of 11, 6 of 10, 2 of 3.
    assert metrics["macro_f1"] == pytest.approx((8 / 11 + 6 / 10 + 2 / 3) / 3)
    assert 0 < metrics["macro_f1_low"] < metrics["macro_f1"] < metrics["macro_f1_high"] < 1


def test_the_rows_by_class_are_those_counted_by_hand_with_their_intervals() -> None:
    # Precision and recall as hits of totals, then the mistakes of both kinds.
    expected = {"a": (4, 6, 5, 3), "b": (3, 5, 5, 4), "c": (1, 1, 2, 1)}
    for row in class_metrics(TEST):
        hits, predicted, images, mistakes = expected[row["class"]]
        assert row == {
            "class": row["class"],
            "images": images,
            **dict(zip(("precision", "precision_low", "precision_high"), share(hits, predicted), strict=True)),
            **dict(zip(("recall", "recall_low", "recall_high"), share(hits, images), strict=True)),
            "f1": pytest.approx(2 * hits / (images + predicted)),
            "f1_low": f1_interval(hits, mistakes, 0.95)[0],
            "f1_high": f1_interval(hits, mistakes, 0.95)[1],
        }


def share(hits: int, images: int) -> tuple[float, ...]:
    return hits / images, *wilson_interval(hits, images, 0.95)


@pytest.mark.parametrize(
    ("actual", "predicted", "images", "unmeasured"),
    [
        ("aab", "aab", 0, ["precision", "recall", "f1"]),
        ("aab", "aac", 0, ["recall"]),
        ("aac", "aaa", 1, ["precision"]),
    ],
    ids=["neither actual nor predicted", "predicted only", "actual only"],
)
def test_a_class_that_is_absent_counts_as_nought_and_has_no_interval(
    actual: str, predicted: str, images: int, unmeasured: list[str]
) -> None:
    test = make_test_set(actual, predicted, CLASSES)
    *others, row = class_metrics(test)
    assert [row[key] for key in ("class", "images", "precision", "recall", "f1")] == ["c", images, 0, 0, 0]
    assert [key for key in ("precision", "recall", "f1") if row[f"{key}_low"] is None] == unmeasured
    assert overall_metrics(test)["macro_f1"] == pytest.approx(sum(other["f1"] for other in others) / 3)


def test_the_order_of_the_classes_is_the_order_of_the_rows() -> None:
    rows = class_metrics(make_test_set(ACTUAL, PREDICTED, ["c", "a", "b"]))
    assert [row["class"] for row in rows] == ["c", "a", "b"]
    assert [row["images"] for row in rows] == [2, 5, 5]
