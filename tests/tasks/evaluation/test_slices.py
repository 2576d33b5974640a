import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluation.attributes import Division, Group
from tasks.evaluation.slices import Slice, measure_slices

ROUNDS = 150


def group(value: str, mask: np.ndarray) -> Group:
    return Group("camera", value, "table", mask)


def two_cameras(images: tuple[int, int], wrong: tuple[int, int]) -> tuple[np.ndarray, Division]:
    """Return right predictions and a division by cameras a and b."""
    right = np.concatenate([np.arange(count) >= mistakes for count, mistakes in zip(images, wrong, strict=True)])
    is_a = np.arange(sum(images)) < images[0]
    return right, Division([group("a", is_a), group("b", ~is_a)], 0)


def test_a_slice_is_compared_with_all_other_images() -> None:
    right, division = two_cameras((70, 80), (14, 32))
    row = next(row for row in measure_slices(right, division, 0.95).rows if row.value == "a")
    assert (row.images, row.accuracy, row.others, row.others_accuracy) == (70, 0.8, 80, 0.6)
    # The example of Newcombe's table II, method 10.
    intervals = (row.difference, row.difference_low, row.difference_high)
    assert intervals == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert row.p_value == pytest.approx(0.012521, abs=1e-6)
    assert row.accuracy_low < 0.8 < row.accuracy_high


def test_a_slice_and_its_complement_are_one_test() -> None:
    right, division = two_cameras((60, 60), (15, 3))
    rows = {row.value: row for row in measure_slices(right, division, 0.95).rows}
    assert rows["a"].p_corrected == rows["a"].p_value == rows["b"].p_value < 0.05
    assert (rows["a"].verdict, rows["b"].verdict) == ("worse", "better")


def test_p_values_are_corrected_for_the_number_of_tests_and_keep_their_order() -> None:
    right, division = two_cameras((60, 60), (15, 3))
    rng = np.random.default_rng(0)
    masks = [rng.permutation(120) < 40 for _ in range(19)]
    groups = [*division.groups, *(group(f"chance {number}", mask) for number, mask in enumerate(masks))]
    rows = measure_slices(right, Division(groups, 0), 0.95).rows
    by_p = sorted(rows, key=lambda row: row.p_value)
    assert by_p[0].p_corrected == pytest.approx(20 * by_p[0].p_value)
    assert [row.p_corrected for row in by_p] == sorted(row.p_corrected for row in rows)
    assert {row.verdict for row in rows} == {"unclear"}


def test_the_most_clearly_worse_slice_comes_first() -> None:
    mask = np.arange(400) // 100
    right = np.ones(400, bool)
    right[:60], right[100:110], right[300:305] = False, False, False
    right[395:] = True
    few = np.arange(400) >= 390
    right[390:393] = False
    groups = [*(group(str(number), mask == number) for number in range(4)), group("few", few)]
    rows = measure_slices(right, Division(groups, 0), 0.95).rows
    assert [row.value for row in rows][:2] == ["0", "few"]
    assert [row.verdict for row in rows if row.value == "0"] == ["worse"]
    assert rows[0].verdict == "worse"


def test_slices_that_are_too_small_are_counted_and_equal_values_are_named() -> None:
    masks = {"all": np.ones(30, bool), "none": np.zeros(30, bool), "few": np.arange(30) < 9, "most": np.arange(30) >= 9}
    slices = measure_slices(np.ones(30, bool), Division([group(*item) for item in masks.items()], 4), 0.95)
    assert (slices.rows, slices.small, slices.rare, slices.uniform) == ([], 2, 4, [("camera", "all")])


@pytest.mark.parametrize("mistakes", [0, 40])
def test_images_that_are_all_right_or_all_wrong_have_no_clear_slice(mistakes: int) -> None:
    right, division = two_cameras((20, 20), (mistakes // 2, mistakes // 2))
    rows = measure_slices(right, division, 0.95).rows
    assert [(row.p_value, row.verdict, row.difference) for row in rows] == [(1, "unclear", 0)] * 2
    assert all(row.difference_low < 0 < row.difference_high for row in rows)


def test_data_without_differences_are_called_worse_or_better_at_most_as_often_as_the_level_allows() -> None:
    rng = np.random.default_rng(1)
    mistaken = 0
    for _ in range(ROUNDS):
        groups = []
        for number, values in enumerate((2, 4)):
            parts = rng.integers(values, size=200)
            groups += [Group(str(number), str(value), "table", parts == value) for value in range(values)]
        slices = measure_slices(rng.random(200) < 0.8, Division(groups, 0), 0.9)
        mistaken += any(row.verdict != "unclear" for row in slices.rows)
    assert mistaken / ROUNDS <= 0.1


def test_a_slice_that_is_far_worse_is_noticed_among_many() -> None:
    rng = np.random.default_rng(2)
    groups = [group(str(number), rng.integers(4, size=300) == 0) for number in range(40)]
    right = rng.random(300) < np.where(groups[7].mask, 0.6, 0.95)
    worse = [row.value for row in measure_slices(right, Division(groups, 0), 0.95).rows if row.verdict == "worse"]
    assert worse == ["7"]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=60))
def test_all_figures_are_shares_with_intervals_around_them(images: list[tuple[bool, int]]) -> None:
    right = np.array([is_right for is_right, _ in images])
    values = np.array([value for _, value in images])
    groups = [group(str(value), values == value) for value in range(3)]
    rows: list[Slice] = measure_slices(right, Division(groups, 0), 0.95).rows
    for row in rows:
        assert 0 <= row.accuracy_low <= row.accuracy + 1e-12 <= row.accuracy_high + 2e-12 <= 1 + 3e-12
        assert -1 - 1e-12 <= row.difference_low <= row.difference <= row.difference_high <= 1 + 1e-12
        assert 0 <= row.p_value <= row.p_corrected + 1e-12 <= 1 + 2e-12
