import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.head.search.folds import assign_folds


@pytest.mark.parametrize(
    ("counts", "folds"), [([10, 10], 5), ([7, 13, 4], 3), ([200, 80, 30, 12, 6], 5), ([2, 2, 2, 2, 2], 5)]
)
def test_every_class_and_the_whole_are_spread_evenly(counts: list[int], folds: int) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    assigned = assign_folds(targets, [None] * len(targets), folds, seed=0)
    for label in range(len(counts)):
        sizes = np.bincount(assigned[targets == label], minlength=folds)
        assert sizes.max() - sizes.min() <= 1
    sizes = np.bincount(assigned, minlength=folds)
    assert sizes.max() - sizes.min() <= 1


@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 5)), min_size=4), st.integers(2, 5))
def test_images_of_a_group_share_a_fold(images: list[tuple[int, int | None]], folds: int) -> None:
    targets = np.array([label for label, _ in images])
    groups = [group for _, group in images]
    assigned = assign_folds(targets, groups, folds, seed=1)
    assert assigned.min() >= 0
    assert assigned.max() < folds
    for group in {group for group in groups if group is not None}:
        assert len({fold for fold, own in zip(assigned.tolist(), groups, strict=True) if own == group}) == 1


def test_the_seed_decides_the_folds() -> None:
    targets = np.repeat([0, 1], 20)
    first, again, other = (assign_folds(targets, [None] * 40, 5, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()
