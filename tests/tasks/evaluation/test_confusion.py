import numpy as np
import pytest

from tasks.evaluation.confusion import Pair, measure_confusion, order_classes
from tests.tasks.evaluation.examples import make_test_set


def test_pairs_have_their_images_the_largest_mistake_first_and_the_most_confident_image_first() -> None:
    test = make_test_set(["a", "b", "b", "b", "c", "a"], ["b", "a", "a", "b", "c", "a"], ["a", "b", "c", "d"])
    test.probabilities[2] = [0.95, 0.05, 0, 0]
    confusion = measure_confusion(test)
    assert confusion.pairs == [Pair(1, 0, [2, 1]), Pair(0, 1, [0]), Pair(0, 0, [5]), Pair(1, 1, [3]), Pair(2, 2, [4])]
    assert confusion.mistakes == confusion.pairs[:2]
    np.testing.assert_array_equal(confusion.counts, [[1, 1, 0, 0], [2, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])


def test_classes_that_are_confused_lie_next_to_each_other() -> None:
    counts = np.diag([10] * 40)
    groups = [(0, 20, 39), (5, 30), (7, 8)]
    for group in groups:
        counts[np.ix_(group, group)] += 5
    order = order_classes(counts)
    assert sorted(order) == list(range(40))
    for group in groups:
        positions = [order.index(number) for number in group]
        assert max(positions) - min(positions) == len(group) - 1
    assert order_classes(counts.copy()) == order


@pytest.mark.parametrize("classes", [0, 1, 2])
def test_two_classes_keep_their_order(classes: int) -> None:
    assert order_classes(np.eye(classes, dtype=np.int64)) == list(range(classes))


def test_a_class_without_images_is_confused_with_none() -> None:
    assert sorted(order_classes(np.zeros((3, 3), np.int64))) == [0, 1, 2]
