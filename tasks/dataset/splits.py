"""The split of each image, train, val or test, as a function of the images' content.

An image keeps its split when the dataset grows. Two exceptions: a newcomer that is nearly the same may join two groups
into one, and a class so small that hashing leaves it without a validation or test image has its nearest group moved.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.common.params import Dataset
from tasks.tables.manifest import Row

HASH_BITS = 64


def split_rows(rows: Sequence[Row], params: Dataset) -> list[Row]:
    """Return the rows with a group of near-duplicates and a split for every usable image."""
    usable = [row for row in rows if row.kind is None]
    groups = find_near_duplicates(np.array([row.phash for row in usable], np.uint64), params.near_duplicates or 0)
    splits = assign_splits(
        [row.sha256 or "" for row in usable],
        [row.label for row in usable],
        groups,
        params.seed,
        params.val_fraction,
        params.test_fraction,
    )
    decided = {
        row.path: row._replace(group=group, split=split)
        for row, group, split in zip(usable, groups.tolist(), splits, strict=True)
    }
    return [decided.get(row.path, row) for row in rows]


def find_near_duplicates(hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.int64]:
    """Return a number for each group of images linked by hashes that differ in at most `bits`; int64 [N].

    Hashes that differ in at most b bits agree in one of b + 1 bands of bits (pigeonhole), so only images that share a
    band are compared.
    """
    distinct, inverse = np.unique(hashes, return_inverse=True)
    edges = np.linspace(0, HASH_BITS, bits + 2).astype(int)
    links: list[npt.NDArray[np.int64]] = [np.empty((2, 0), np.int64)]
    for low, high in pairwise(edges):
        band = (distinct >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            for position, member in enumerate(members[:-1]):
                others = members[position + 1 :]
                near = others[np.bitwise_count(distinct[others] ^ distinct[member]) <= bits]
                links.append(np.stack([np.full(len(near), member), near]))
    rows, columns = np.concatenate(links, axis=1)
    size = len(distinct)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    _, groups = connected_components(graph, directed=False)
    return np.asarray(groups[inverse], np.int64)


def assign_splits(
    keys: Sequence[str],
    labels: Sequence[str],
    groups: npt.NDArray[np.int64],
    seed: int,
    val_fraction: float,
    test_fraction: float,
) -> list[str]:
    """Return `train`, `val` or `test` for each image; a group stays together, a class holds all three if it can.

    `keys` are content hashes; the smallest of a group decides for it.
    """
    smallest: dict[int, str] = {}
    for group, key in zip(groups.tolist(), keys, strict=True):
        smallest[group] = min(key, smallest.get(group, key))
    fractions = {group: _fraction(key, seed) for group, key in smallest.items()}
    split_of = {
        group: "test" if fraction < test_fraction else "val" if fraction < test_fraction + val_fraction else "train"
        for group, fraction in fractions.items()
    }
    groups_by_class: dict[str, set[int]] = defaultdict(set)
    for label, group in zip(labels, groups.tolist(), strict=True):
        groups_by_class[label].add(group)
    sorted_groups = {
        label: sorted(groups_by_class[label], key=fractions.__getitem__) for label in sorted(groups_by_class)
    }
    while _fill_one_gap(sorted_groups, split_of):
        pass
    return [split_of[group] for group in groups.tolist()]


def _fill_one_gap(groups_by_class: dict[str, list[int]], split_of: dict[int, str]) -> bool:
    """Move the nearest group that can be spared into one split that a class lacks; return whether a group moved.

    A group can be spared if each of its classes holds another group of the split that it leaves. So a class never
    loses a split that it holds, and the moves end.
    """
    counts = {label: Counter(split_of[group] for group in members) for label, members in groups_by_class.items()}
    classes_of: dict[int, list[str]] = defaultdict(list)
    for label, members in groups_by_class.items():
        for group in members:
            classes_of[group].append(label)
    for label, members in groups_by_class.items():
        for lacking in ("test", "val", "train"):
            if counts[label][lacking]:
                continue
            for group in members if lacking != "train" else members[::-1]:
                if all(counts[other][split_of[group]] > 1 for other in classes_of[group]):
                    split_of[group] = lacking
                    return True
    return False


def _fraction(key: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but the key and the seed."""
    return int.from_bytes(sha256(f"{seed}:{key}".encode()).digest()[:8]) / 2**64
