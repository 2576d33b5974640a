from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.dataset.groups import find_near_duplicates, group_images

HASH = st.integers(0, 2**64 - 1)


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


@pytest.mark.parametrize(
    ("digests", "hashes", "given", "bits", "expected"),
    [
        pytest.param("abc", [0, 1, 255], [None] * 3, 1, [0, 0, 1], id="near-duplicates"),
        pytest.param("abc", [0, 1, 255], [None] * 3, 0, [0, 1, 2], id="no bit may differ"),
        pytest.param("abca", [7, 7, 7, 7], [None] * 4, None, [0, 1, 2, 0], id="off: only copies"),
        pytest.param("abc", [0, 1, 255], ["p", "q", "p"], None, [0, 1, 0], id="given groups"),
        pytest.param("abcd", [0, 1, 255, 255], ["p", None, "p", None], 1, [0, 0, 0, 0], id="a chain of all kinds"),
        pytest.param("cab", [7 << 9, 0, 7 << 9], [None] * 3, 2, [0, 1, 0], id="numbered by the first image"),
        pytest.param("", [], [], 2, [], id="no images"),
    ],
)
def test_copies_near_duplicates_and_given_groups_are_linked(
    digests: str, hashes: list[int], given: list[str | None], bits: int | None, expected: list[int]
) -> None:
    assert group_images(digests, hashes, given, bits).tolist() == expected


def test_thousands_of_nearly_the_same_images_are_joined_without_comparing_all_pairs() -> None:
    """All pairs of this fixed camera are 800 million; their links alone would fill gigabytes."""
    generator = np.random.default_rng(0)
    camera = generator.integers(0, 2**16, 40_000, dtype=np.uint64) << np.uint64(20)
    others = generator.integers(0, 2**64, 10_000, dtype=np.uint64)
    groups = find_near_duplicates(np.concatenate([camera, others]), 2)
    assert len(set(groups[:40_000].tolist())) == 1
    assert len(set(groups[40_000:].tolist())) == 10_000
