import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.common.errors import GraftError
from tasks.common.params import OperatingPoint
from tasks.export.operating_points import choose_thresholds
from tasks.tables.held_out import HeldOut

CLASSES = ["cat", "dog"]
# Probabilities of `cat`, and whether the image is one. Two images share 0.625.
ROWS = [
    *((0.9375, True), (0.875, False), (0.8125, True), (0.75, True), (0.6875, True), (0.625, True), (0.625, True)),
    *((0.5625, True), (0.5, True), (0.4375, True), (0.375, False), (0.3125, True), (0.25, False), (0.125, False)),
]


def held_out(rows: list[tuple[float, bool]]) -> HeldOut:
    of_cat = np.array([probability for probability, _ in rows], np.float32)
    labels = ["cat" if is_cat else "dog" for _, is_cat in rows]
    paths = [f"{number}.png" for number in range(len(rows))]
    return HeldOut(paths, labels, ["val"] * len(rows), np.stack([of_cat, 1 - of_cat], axis=1), CLASSES)


@pytest.mark.parametrize(
    ("point", "threshold", "precision", "recall", "predicted"),
    [
        pytest.param(OperatingPoint(precision=0.9), 0.40625, 9 / 10, 9 / 10, 10, id="precision at its limit"),
        pytest.param(OperatingPoint(precision=0.8), 0.28125, 10 / 12, 1.0, 12, id="lowest threshold of several"),
        pytest.param(OperatingPoint(precision=0.5), 0.0625, 10 / 14, 1.0, 14, id="precision of all images"),
        pytest.param(OperatingPoint(recall=0.9), 0.40625, 9 / 10, 9 / 10, 10, id="recall at its limit"),
        pytest.param(OperatingPoint(recall=0.45), 0.59375, 6 / 7, 6 / 10, 7, id="recall with equal probabilities"),
        pytest.param(OperatingPoint(recall=1.0), 0.28125, 10 / 12, 1.0, 12, id="recall of the whole class"),
    ],
)
def test_the_threshold_with_most_recall_or_most_precision_is_chosen_and_stated_with_its_figures(
    point: OperatingPoint, threshold: float, precision: float, recall: float, predicted: int
) -> None:
    measure, wanted = ("recall", point.recall) if point.precision is None else ("precision", point.precision)
    assert choose_thresholds(held_out(ROWS), {"cat": point}) == {
        "cat": {
            "measure": measure,
            "wanted": wanted,
            "threshold": threshold,
            "precision": precision,
            "recall": recall,
            "predicted": predicted,
            "images": 10,
        }
    }


def test_no_point_is_asked_for_and_none_is_returned() -> None:
    assert choose_thresholds(held_out(ROWS), {}) == {}


probabilities = st.integers(0, 12).map(lambda number: number / 12)


@settings(max_examples=40)
@given(st.lists(st.tuples(probabilities, st.booleans()), min_size=20, max_size=60), st.sampled_from([0.5, 0.75, 0.9]))
def test_no_other_threshold_has_more_recall_at_that_precision_or_more_precision_at_that_recall(
    rows: list[tuple[float, bool]], share: float
) -> None:
    rows += [(0.5, True)] * 10
    table = held_out(rows)
    of_cat, is_cat = table.probabilities[:, 0], np.array(table.labels) == "cat"
    counts = [(int((is_cat & (of_cat >= level)).sum()), int((of_cat >= level).sum())) for level in np.unique(of_cat)]
    precise = [hits for hits, predicted in counts if predicted >= 10 and hits / predicted >= share]
    try:
        point = choose_thresholds(table, {"cat": OperatingPoint(precision=share)})["cat"]
    except GraftError:
        assert not precise
    else:
        chosen = of_cat >= point["threshold"]
        assert (is_cat & chosen).sum() == max(precise)
        assert (int(chosen.sum()), (is_cat & chosen).sum() / chosen.sum()) == (point["predicted"], point["precision"])
    point = choose_thresholds(table, {"cat": OperatingPoint(recall=share)})["cat"]
    chosen = of_cat >= point["threshold"]
    assert chosen.sum() == min(predicted for hits, predicted in counts if hits / is_cat.sum() >= share)
    assert (is_cat & chosen).sum() / is_cat.sum() == point["recall"] >= share


def test_between_two_neighbouring_numbers_the_threshold_is_the_upper_one() -> None:
    lower = np.float32(0.5)
    upper = np.nextafter(lower, np.float32(1))
    rows = [(float(upper), True)] * 10 + [(float(lower), False)] * 10
    point = choose_thresholds(held_out(rows), {"cat": OperatingPoint(precision=0.9)})["cat"]
    assert (point["threshold"], point["predicted"]) == (float(upper), 10)


@pytest.mark.parametrize(
    ("rows", "name", "point", "message"),
    [
        pytest.param(
            ROWS,
            "catt",
            OperatingPoint(recall=0.9),
            "class 'catt' of evaluation.operating_points does not exist. Did you mean 'cat'?",
            id="misspelt class",
        ),
        pytest.param(
            ROWS,
            "horse\n",
            OperatingPoint(recall=0.9),
            r"class 'horse\n' of evaluation.operating_points does not exist. The classes are cat, dog.",
            id="no such class",
        ),
        pytest.param(
            ROWS,
            "cat",
            OperatingPoint(precision=0.95),
            (
                "class 'cat' of evaluation.operating_points has 10 images that training left out; a precision of 0.95 "
                "needs at least 20. Add images of the class, or ask for less."
            ),
            id="too few images",
        ),
        pytest.param(
            [*ROWS, *[(1.0, False)] * 10],
            "cat",
            OperatingPoint(precision=0.9),
            (
                "class 'cat' of evaluation.operating_points: no threshold reaches a precision of 0.9 on the 24 images "
                "that training left out; the best is 0.455, with a recall of 1.000. Ask for less, or train a better "
                "model."
            ),
            id="precision out of reach",
        ),
    ],
)
def test_a_point_that_cannot_be_had_is_refused_in_one_line(
    rows: list[tuple[float, bool]], name: str, point: OperatingPoint, message: str
) -> None:
    with pytest.raises(GraftError) as caught:
        choose_thresholds(held_out(rows), {name: point})
    assert str(caught.value) == message
