"""Which images train, which choose when to stop, which test: a function of their content.

An image keeps its split when the dataset grows. Two exceptions: a newcomer that is nearly the same may join two groups
into one, and a class so small that hashing leaves it without a validation or test image lends its nearest group.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_BITS = 64


def near_duplicate_groups(hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.int64]:
    """Return a number for each group of images linked by hashes that differ in at most `bits`; int64 [N].

    Hashes that differ in at most b bits agree in one of b + 1 bands of bits (pigeonhole), so only images that share a
    band are compared.
    """
    kinds, of_kind = np.unique(hashes, return_inverse=True)
    edges = np.linspace(0, HASH_BITS, bits + 2).astype(int)
    linked: list[npt.NDArray[np.int64]] = [np.empty((2, 0), np.int64)]
    for low, high in pairwise(edges):
        band = (kinds >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            for place, member in enumerate(members[:-1]):
                others = members[place + 1 :]
                near = others[np.bitwise_count(kinds[others] ^ kinds[member]) <= bits]
                linked.append(np.stack([np.full(len(near), member), near]))
    rows, columns = np.concatenate(linked, axis=1)
    size = len(kinds)
    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    _, groups = connected_components(links, directed=False)
    return np.asarray(groups[of_kind], np.int64)


def assign(
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
    positions = {group: _position(key, seed) for group, key in smallest.items()}
    chosen = {
        group: "test" if at < test_fraction else "val" if at < test_fraction + val_fraction else "train"
        for group, at in positions.items()
    }
    by_class: dict[str, set[int]] = defaultdict(set)
    for label, group in zip(labels, groups.tolist(), strict=True):
        by_class[label].add(group)
    in_order = {label: sorted(members, key=positions.__getitem__) for label, members in sorted(by_class.items())}
    while _lend(in_order, chosen):
        pass
    return [chosen[group] for group in groups.tolist()]


def _lend(classes: dict[str, list[int]], chosen: dict[int, str]) -> bool:
    """Give one split that a class lacks the class's nearest group that can be spared; say whether there was one.

    A group can be spared if each of its classes holds another group of the split that it leaves, so what a class
    holds it never loses again, and the lending ends.
    """
    held = {label: Counter(chosen[group] for group in members) for label, members in classes.items()}
    classes_of: dict[int, list[str]] = defaultdict(list)
    for label, members in classes.items():
        for group in members:
            classes_of[group].append(label)
    for label, members in classes.items():
        for wanted in ("test", "val", "train"):
            if held[label][wanted]:
                continue
            for group in members if wanted != "train" else members[::-1]:
                if all(held[each][chosen[group]] > 1 for each in classes_of[group]):
                    chosen[group] = wanted
                    return True
    return False


def _position(key: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on nothing but the key and the seed."""
    return int.from_bytes(sha256(f"{seed}:{key}".encode()).digest()[:8]) / 2**64
