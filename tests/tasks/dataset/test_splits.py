from collections import Counter, defaultdict
from hashlib import sha256
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.common.errors import QuarantineKind
from tasks.common.params import Dataset, Params
from tasks.dataset.splits import LARGEST_SHARE, assign_splits, split_rows
from tasks.tables.manifest import Row

SEED = st.integers(0, 2**31)
SHARE = st.sampled_from([0.05, 0.15, 0.25, 0.45])


def key(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


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
        assert len(class_splits) == 3 or len(sizes) < 3


@given(SEED, st.integers(1, 200), st.integers(1, 3), st.sampled_from([(0.15, 0.15), (0.25, 0.1), (0.1, 0.3)]))
def test_newcomers_that_are_no_near_duplicates_move_no_image(
    seed: int, newcomers: int, group_size: int, shares: tuple[float, float]
) -> None:
    """With 200 images a class, hashing leaves each split some, and small groups fit everywhere."""
    labels = [str(number % 2) for number in range(400 + newcomers)]
    keys = [key(number) for number in range(400 + newcomers)]
    groups = np.arange(400 + newcomers) // group_size
    groups[400:] = np.arange(1000, 1000 + newcomers)
    before = assign_splits(keys[:400], labels[:400], groups[:400], seed, *shares)
    after = assign_splits(keys, labels, groups, seed, *shares)
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


def test_the_split_of_single_images_is_a_hash_of_their_content_alone() -> None:
    """A dataset that has been split before is split the same way for ever."""
    keys = [key(number) for number in range(300)]
    labels = [str(number % 3) for number in range(300)]
    splits = assign_splits(keys, labels, np.arange(300), 7, 0.15, 0.15)
    positions = [int(sha256(f"7:{digest}".encode()).hexdigest()[:16], 16) / 2**64 for digest in keys]
    expected = ["test" if position < 0.15 else "val" if position < 0.3 else "train" for position in positions]
    assert splits == expected


GROUP_SIZES = [
    pytest.param([120], {"train": 120}, id="one group is the class"),
    pytest.param([60, 60], {"train": 120}, id="two halves"),
    pytest.param([96] + [1] * 24, {"train": 96}, id="most of the class"),
    pytest.param([40, 40, 40], {}, id="three groups, as of three patients"),
    pytest.param([50, 40, 30], {"train": 50}, id="three groups, the largest is train"),
]


@pytest.mark.parametrize(("sizes", "least"), GROUP_SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_a_group_does_not_take_a_class_over(sizes: list[int], least: dict[str, int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    splits = assign_splits([key(n) for n in range(len(groups))], ["a"] * len(groups), groups, seed, 0.15, 0.15)
    assert all(splits.count(split) >= number for split, number in least.items())
    assert len(set(splits)) == (3 if len(sizes) > 2 else 1)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=3, max_size=120), SEED, SHARE, SHARE)
def test_val_and_test_hold_large_groups_only_where_a_class_would_else_lack_them(
    images: list[tuple[int, int]], seed: int, val: float, test: float
) -> None:
    labels, groups = [str(label) for _, label in images], np.array([group for group, _ in images])
    splits = assign_splits([key(number) for number in range(len(images))], labels, groups, seed, val, test)
    in_class = Counter(labels)
    in_group = Counter(zip(groups.tolist(), labels, strict=True))
    in_split = Counter(zip(splits, labels, strict=True))
    for (group, label), size in in_group.items():
        split = splits[groups.tolist().index(group)]
        if (
            split != "train"
            and size > 1
            and in_split[split, label] > LARGEST_SHARE * {"val": val, "test": test}[split] * in_class[label]
        ):
            assert size < in_class[label] / 2
            others = {label for other, label in in_group if other == group}
            assert any(in_split[split, other] == in_group[group, other] for other in others)


def rows(*columns: str) -> list[Row]:
    """Return a row for each `label split group digest hash`, in which a dash stands for none."""
    cells = [[None if cell == "-" else cell for cell in line.split()] for line in columns]
    return [
        Row(
            str(number),
            label or "",
            given_split=split,
            given_group=group,
            sha256=sha256((digest or str(number)).encode()).hexdigest(),
            phash=int(hashed) if hashed else (number + 1) * 0x123456789ABCDEF % 2**64,
        )
        for number, (label, split, group, digest, hashed) in enumerate(cells)
    ]


def split(images: list[Row], params: Dataset) -> str:
    return " ".join(row.split or "-" for row in split_rows(images, params))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        pytest.param(
            ["a train - - -", "a val - - -", "a test - - -", "a train - - -"],
            "train val test train",
            id="all are given",
        ),
        pytest.param(
            ["a train - x 1", "a val - x 1", "a test - y 1"], "train val test", id="near-duplicates in given splits"
        ),
        pytest.param(
            ["a train p - -", "a val p - -", "a test p - -"], "train val test", id="a group in three given splits"
        ),
        pytest.param(
            ["a train - - -", "a val - - -", "a test - - -", *["a - - - -"] * 9],
            "train val test" + " train" * 9,
            id="nothing is added to given splits of evaluation",
        ),
        pytest.param(
            ["a train - - -", "a val p - -", "a test - x -", "a - p - -", "a - - x -"],
            "train val test val test",
            id="images follow their group and their copies",
        ),
        pytest.param(
            ["a train p - -", "a val p - -", "a test p - -", "a - p - -"], "train val test test", id="test wins"
        ),
        pytest.param(
            ["a train - - -", "a val - - -", "a test - - 1", "a - - - 1"],
            "train val test test",
            id="a near-duplicate follows",
        ),
        pytest.param(
            ["a train - - -", "a val - - -", "a test - - 1", *["a - - - 1"] * 5],
            "train val test" + " train" * 5,
            id="near-duplicates do not follow if they are most of the class",
        ),
    ],
)
def test_given_splits_are_kept_and_other_images_join_them(settings: Params, images: list[str], expected: str) -> None:
    assert split(rows(*images), settings.dataset) == expected


@pytest.mark.parametrize(
    ("given", "drawn"),
    [("train", {"train", "val", "test"}), ("test", {"train", "val"}), ("val", {"train", "test"})],
)
def test_a_split_that_no_image_is_given_for_is_drawn(settings: Params, given: str, drawn: set[str]) -> None:
    images = rows(*[f"a {given} - - -"] * 5, *["a train - - -"] * 40, *["a - - - -"] * 40)
    splits = split(images, settings.dataset).split()
    assert set(splits[:5]) == {given} or given == "train"
    assert set(splits[5:]) == drawn == set(splits[5:45]) == set(splits[45:])


def test_groups_of_all_kinds_stay_together_where_no_split_is_given(settings: Params) -> None:
    images = rows(*[f"{number % 2} - patient{number // 4} - -" for number in range(200)])
    splits = split(images, settings.dataset).split()
    assert [len(set(splits[start : start + 4])) for start in range(0, 200, 4)] == [1] * 50
    assert set(splits) == {"train", "val", "test"}


def test_a_file_that_cannot_be_used_has_no_group_and_no_split(settings: Params) -> None:
    images = rows("a test - - -", "a - - - -")
    images[0] = images[0]._replace(kind=QuarantineKind.DAMAGED, reason="damaged: x")
    damaged, usable = split_rows(images, settings.dataset)
    assert (damaged.split, damaged.group, usable.split, usable.group) == (None, None, "val", 0)
