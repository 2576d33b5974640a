from collections import defaultdict
from hashlib import sha256
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.dataset.splits import assign_splits, find_near_duplicates

SEED = st.integers(0, 2**31)
SHARE = st.sampled_from([0.05, 0.15, 0.25, 0.45])
HASH = st.integers(0, 2**64 - 1)


def key(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


@st.composite
def neighbours(draw: st.DrawFn) -> list[int]:
    """Draw hashes of which many differ from another by few bits."""
    hashes = draw(st.lists(HASH, min_size=1, max_size=12))
    for _ in range(draw(st.integers(0, 20))):
        changed = draw(st.sampled_from(hashes))
        for bit in draw(st.lists(st.integers(0, 63), max_size=5)):
            changed ^= 1 << bit
        hashes.append(changed)
    return hashes


def compare_all_pairs(hashes: list[int], bits: int) -> list[int]:
    """Return for each hash the first that it is linked to by a chain."""
    groups = list(range(len(hashes)))
    for first, second in combinations(range(len(hashes)), 2):
        if (hashes[first] ^ hashes[second]).bit_count() <= bits:
            merged = {groups[first], groups[second]}
            groups = [min(merged) if group in merged else group for group in groups]
    return groups


@given(neighbours(), st.integers(0, 16))
def test_the_search_by_bands_finds_the_groups_that_comparing_all_pairs_finds(hashes: list[int], bits: int) -> None:
    groups = find_near_duplicates(np.array(hashes, np.uint64), bits).tolist()
    expected = compare_all_pairs(hashes, bits)
    assert len(set(zip(groups, expected, strict=True))) == len(set(groups)) == len(set(expected))


@pytest.mark.parametrize("bits", [0, 2, 16])
def test_a_chain_of_near_duplicates_is_one_group_and_no_images_have_no_group(bits: int) -> None:
    chain = [(1 << (bits * step)) - 1 for step in range(4)]
    assert len(set(find_near_duplicates(np.array(chain, np.uint64), bits).tolist())) == 1
    assert find_near_duplicates(np.array([], np.uint64), bits).tolist() == []


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60, unique=True), SEED, SHARE, SHARE, st.randoms())
def test_a_split_depends_on_content_and_seed_and_not_on_order_or_group_numbers(
    numbers: list[int], seed: int, val: float, test: float, random: Random
) -> None:
    labels = ["even" if number % 2 == 0 else "odd" for number in numbers]
    splits = assign_splits([key(number) for number in numbers], labels, np.arange(len(numbers)), seed, val, test)
    order = list(range(len(numbers)))
    random.shuffle(order)
    shuffled = assign_splits(
        [key(numbers[position]) for position in order],
        [labels[position] for position in order],
        np.array([5 + 3 * position for position in order]),
        seed,
        val,
        test,
    )
    assert shuffled == [splits[position] for position in order]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=60), SEED, SHARE, SHARE)
def test_a_group_stays_together_even_across_classes(
    images: list[tuple[int, int]], seed: int, val: float, test: float
) -> None:
    groups = np.array([group for group, _ in images])
    splits = assign_splits(
        [key(number) for number in range(len(images))], [str(label) for _, label in images], groups, seed, val, test
    )
    splits_by_group = defaultdict(set)
    for group, split in zip(groups.tolist(), splits, strict=True):
        splits_by_group[group].add(split)
    assert all(len(members) == 1 for members in splits_by_group.values())
    assert set(splits) <= {"train", "val", "test"}


@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=8), min_size=1, max_size=4), SEED, SHARE, SHARE)
def test_a_class_with_three_groups_of_its_own_holds_all_three_splits(
    classes: list[list[int]], seed: int, val: float, test: float
) -> None:
    """Each class is a list of the sizes of its groups."""
    labels: list[str] = []
    groups: list[int] = []
    for name, sizes in enumerate(classes):
        for size in sizes:
            groups += [1 + max(groups, default=0)] * size
            labels += [str(name)] * size
    splits = assign_splits([key(number) for number in range(len(labels))], labels, np.array(groups), seed, val, test)
    for name, sizes in enumerate(classes):
        class_splits = {split for label, split in zip(labels, splits, strict=True) if label == str(name)}
        assert len(class_splits) == min(3, len(sizes))


@given(SEED, st.integers(1, 200), st.sampled_from([(0.15, 0.15), (0.25, 0.1), (0.1, 0.3)]))
def test_newcomers_that_are_no_near_duplicates_move_no_image(
    seed: int, newcomers: int, shares: tuple[float, float]
) -> None:
    """With 200 images a class, hashing leaves each split some, so that nothing is lent."""
    labels = [str(number % 2) for number in range(400 + newcomers)]
    keys = [key(number) for number in range(400 + newcomers)]
    before = assign_splits(keys[:400], labels[:400], np.arange(400), seed, *shares)
    after = assign_splits(keys, labels, np.arange(400 + newcomers), seed, *shares)
    assert after[:400] == before


def test_the_shares_are_those_of_the_params() -> None:
    splits = assign_splits([key(number) for number in range(10_000)], ["a"] * 10_000, np.arange(10_000), 7, 0.15, 0.25)
    shares = [splits.count(name) / 10_000 for name in ("train", "val", "test")]
    np.testing.assert_allclose(shares, [0.6, 0.15, 0.25], atol=0.015)


def test_another_seed_gives_another_split() -> None:
    keys = [key(number) for number in range(100)]
    first, second = (assign_splits(keys, ["a"] * 100, np.arange(100), seed, 0.2, 0.2) for seed in (1, 2))
    assert first != second


@pytest.mark.parametrize("seed", range(20))
def test_two_images_of_a_class_are_in_two_splits(seed: int) -> None:
    assert len(set(assign_splits([key(1), key(2)], ["a", "a"], np.arange(2), seed, 0.15, 0.15))) == 2


def test_a_group_of_two_classes_is_not_lent_away_from_the_one_that_needs_it() -> None:
    labels, groups = list("baabaa"), np.array([0, 0, 1, 2, 3, 4])
    keys = [sha256(f"8{number}".encode()).hexdigest() for number in range(6)]
    splits = assign_splits(keys, labels, groups, 8, 0.15, 0.15)
    assert {split for split, label in zip(splits, labels, strict=True) if label == "a"} == {"train", "val", "test"}
