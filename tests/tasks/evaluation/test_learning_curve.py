import numpy as np
import pytest

from tasks.evaluation.learning_curve import LearningCurve, Point, measure_learning_curve
from tasks.evaluation.vectors import Vectors

WIDTH = 12


def make_vectors(
    train: int, test: int, distance: float, classes: int = 3, width: int = WIDTH, *, constant: bool = False
) -> Vectors:
    """Return so many images a class around means that are about that many standard deviations apart."""
    random = np.random.default_rng(0)
    splits = np.array((["train"] * train + ["test"] * test) * classes)
    labels = np.repeat([f"class {number}" for number in range(classes)], train + test)
    numbers = np.repeat(np.arange(classes), train + test)
    means = random.normal(size=(classes, width)) * distance / np.sqrt(width)
    values = (means[numbers] + random.normal(size=(len(labels), width))).astype(np.float32)
    paths = np.array([f"{number}.png" for number in range(len(labels))])
    return Vectors(paths, labels, splits, np.ones_like(values) if constant else values)


def measure(vectors: Vectors) -> LearningCurve:
    curve = measure_learning_curve(vectors, 0.95)
    assert curve is not None
    return curve


def measured(curve: LearningCurve) -> list[Point]:
    return [point for point in curve.points if not point.extrapolated]


def test_sizes_double_up_to_all_images_and_are_prolonged_by_fifty_and_to_twice_as_many() -> None:
    curve = measure(make_vectors(120, 40, 2.0))
    assert [point.images for point in measured(curve)] == [4, 8, 15, 30, 60, 120]
    assert [point.images for point in curve.points if point.extrapolated] == [170, 240]
    assert [gain.images for gain in curve.gains] == [50, 120]
    assert measured(curve)[-1].parts == 1
    assert {point.parts for point in measured(curve)[:-1]} == {40}


def test_more_images_help_where_classes_overlap_and_intervals_surround_the_figures() -> None:
    curve = measure(make_vectors(120, 60, 2.0))
    errors = [point.error for point in measured(curve)]
    assert errors[0] > errors[2] > errors[-1] > 0
    assert all(0 <= point.error_low <= point.error <= point.error_high <= 1 for point in measured(curve))
    assert 0 < curve.gains[0].gain < curve.gains[1].gain < errors[-1]
    assert all(0 <= gain.low <= gain.gain <= gain.high for gain in curve.gains)


def test_classes_that_no_feature_tells_apart_gain_nothing() -> None:
    curve = measure(make_vectors(60, 40, 0.0, constant=True))
    assert [point.error for point in measured(curve)] == pytest.approx([2 / 3] * len(measured(curve)))
    assert [gain.high for gain in curve.gains] == [pytest.approx(0, abs=1e-9)] * len(curve.gains)


def test_one_figure_is_enough_where_fifty_images_are_about_twice_as_many() -> None:
    assert [gain.images for gain in measure(make_vectors(60, 20, 2.0)).gains] == [50]


def test_few_images_are_not_prolonged_beyond_three_times_as_many() -> None:
    assert [gain.images for gain in measure(make_vectors(16, 20, 2.0)).gains] == [16]


@pytest.mark.parametrize(
    ("train", "test", "classes"),
    [
        pytest.param(100, 6, 3, id="few test images"),
        pytest.param(15, 20, 3, id="few training images"),
        pytest.param(100, 40, 1, id="one class"),
        pytest.param(0, 40, 3, id="no training images"),
    ],
)
def test_there_is_no_curve_of_too_few_images(train: int, test: int, classes: int) -> None:
    assert measure_learning_curve(make_vectors(train, test, 2.0, classes), 0.95) is None


def test_many_features_are_projected_with_the_same_curve_each_time() -> None:
    vectors = make_vectors(40, 20, 9.0, width=600)
    first, second = measure(vectors), measure(vectors)
    assert first == second
    assert measured(first)[0].error > 2 * measured(first)[-1].error


def test_test_images_of_a_class_that_has_no_training_images_are_mistakes() -> None:
    vectors = make_vectors(60, 20, 20.0)
    curve = measure(vectors.select((vectors.labels != "class 2") | (vectors.splits == "test")))
    assert measured(curve)[-1].error == pytest.approx(1 / 3)
