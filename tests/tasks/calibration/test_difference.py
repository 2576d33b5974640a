import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.calibration.difference import Difference, accuracy_difference, macro_f1_difference, mcnemar
from tasks.comparison.pairs import Mask


def answers(both: int, newly_wrong: int, newly_right: int, neither: int) -> tuple[Mask, Mask]:
    """Return whether each image was recognised before and after."""
    counts = (both, newly_wrong, newly_right, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # The data of Bentur et al. in Fagerland, Lydersen and Laake, Statistics in Medicine 33, 2850-2875, 2014.
        pytest.param((1, 7, 1, 12), (8 / 21, 2 / 21, -0.507, -0.026), id="a published example"),
        pytest.param((10, 0, 0, 0), (1.0, 1.0, -0.278, 0.278), id="no mistakes"),
        pytest.param((0, 0, 0, 10), (0.0, 0.0, -0.278, 0.278), id="mistakes alone"),
        pytest.param((0, 0, 1, 0), (0.0, 1.0, -0.122, 1.0), id="one image"),
    ],
)
def test_the_interval_of_the_difference_in_accuracy_is_newcombes(
    counts: tuple[int, int, int, int], expected: tuple[float, float, float, float]
) -> None:
    assert accuracy_difference(*answers(*counts), 0.95) == pytest.approx(Difference(*expected), abs=5e-4)


@given(st.tuples(*[st.integers(0, 40)] * 4).filter(any))
def test_exchanging_the_runs_turns_the_interval_around_and_it_contains_the_difference(
    counts: tuple[int, int, int, int],
) -> None:
    before, after = answers(*counts)
    forwards, backwards = accuracy_difference(before, after, 0.9), accuracy_difference(after, before, 0.9)
    assert forwards.low - 1e-12 <= forwards.change <= forwards.high + 1e-12
    assert (forwards.low, forwards.high) == pytest.approx((-backwards.high, -backwards.low))
    assert min(forwards.low + 1, 1 - forwards.high) > -1e-9


@pytest.mark.parametrize(
    ("newly_right", "newly_wrong", "p_value"),
    [(0, 0, 1.0), (1, 7, 0.0703125), (6, 0, 0.03125), (0, 6, 0.03125), (5, 5, 1.0)],
    ids=["no image changed", "a published example", "all better", "all worse", "even"],
)
def test_the_p_value_is_that_of_the_exact_binomial_test(newly_right: int, newly_wrong: int, p_value: float) -> None:
    assert mcnemar(newly_right, newly_wrong) == pytest.approx(p_value)


def test_macro_f1_counts_every_class_of_the_labels_alike_and_its_interval_repeats() -> None:
    labels = ["cat"] * 60 + ["dog"] * 12
    before = ["cat"] * 60 + ["dog"] * 6 + ["cat"] * 5 + ["unicorn"]
    difference = macro_f1_difference(labels, before, labels, 0.95)
    f1_of_cats, f1_of_dogs = 120 / 125, 12 / 18
    assert (difference.before, difference.after) == pytest.approx(((f1_of_cats + f1_of_dogs) / 2, 1))
    assert 0 < difference.low < difference.change < difference.high
    assert difference == macro_f1_difference(labels, before, labels, 0.95)
    assert macro_f1_difference(labels, labels, labels, 0.95) == Difference(1.0, 1.0, 0.0, 0.0)
