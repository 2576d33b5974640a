"""Groups of images that belong in one split: copies, near-duplicates, and groups that the user gives."""

from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_BITS = 64
Links = npt.NDArray[np.int64]


def group_images(
    digests: Sequence[str], hashes: Sequence[int], given_groups: Sequence[str | None], bits: int | None
) -> npt.NDArray[np.int64]:
    """Return a number for each group of linked images; int64 [N], numbered in the order of their first images.

    Images of the same bytes (`digests`) are linked, and those of the same given group. Unless `bits` is None, so are
    images whose perceptual hashes of 64 bits differ in at most `bits`. Links form chains.
    """
    links = [_link_equal(digests), _link_equal(given_groups)]
    if bits is not None:
        links.append(_link_equal(find_near_duplicates(np.array(hashes, np.uint64), bits).tolist()))
    return _join(len(digests), links)


def find_near_duplicates(hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.int64]:
    """Return a number for each group of images linked by hashes that differ in at most `bits`; int64 [N].

    Hashes that differ in at most b bits agree in one of b + 1 bands of bits (pigeonhole), so only images that share a
    band are compared. Each band gets its part of the bits that vary most: the images of a fixed camera agree in most
    bits, and all of them would share a band that is made of such bits alone.
    """
    distinct, inverse = np.unique(hashes, return_inverse=True)
    links = []
    for mask in _bands(distinct, bits + 1):
        band = distinct & mask
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order], prepend=~band[order[:1]]))
        for start, end in pairwise([*starts.tolist(), len(order)]):
            if end - start > 1:
                links += list(_link_near(distinct, order[start:end], bits))
    return _join(len(distinct), links)[inverse]


def _bands(hashes: npt.NDArray[np.uint64], count: int) -> list[np.uint64]:
    """Return a mask for each band; the bits, sorted by how evenly they are set, are dealt out in turn."""
    ones = [np.count_nonzero(hashes & np.uint64(1 << bit)) for bit in range(HASH_BITS)]
    dealt = sorted(range(HASH_BITS), key=lambda bit: abs(2 * ones[bit] - len(hashes)))
    return [np.uint64(sum(1 << bit for bit in dealt[band::count])) for band in range(count)]


def _link_near(hashes: npt.NDArray[np.uint64], members: npt.NDArray[np.int64], bits: int) -> Iterator[Links]:
    """Yield links, int64 [2, n], that join all near members, and no more of them than there are members.

    A member that a link has reached is compared only with those that none has: one dense group of n members takes about
    n comparisons, and memory never grows with the number of pairs.
    """
    remaining, values = members, hashes[members]
    queue: list[int] = []
    while len(remaining):
        if not queue:
            queue = [int(remaining[0])]
            remaining, values = remaining[1:], values[1:]
        member = queue.pop()
        near = np.bitwise_count(values ^ hashes[member]) <= bits
        if near.any():
            reached = remaining[near]
            yield np.stack([np.full(len(reached), member), reached])
            queue += reached.tolist()
            remaining, values = remaining[~near], values[~near]


def _link_equal(values: Sequence[Hashable]) -> Links:
    """Return links, int64 [2, n], between each value that is not None and the first that equals it."""
    first: dict[Hashable, int] = {}
    pairs = [(first.setdefault(value, index), index) for index, value in enumerate(values) if value is not None]
    return np.array(pairs, np.int64).reshape(-1, 2).T


def _join(size: int, links: Sequence[Links]) -> npt.NDArray[np.int64]:
    """Return the number of each item's group, in the order of the groups' first items; int64 [size]."""
    rows, columns = np.concatenate([np.empty((2, 0), np.int64), *links], axis=1)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(size, size))
    _, groups = connected_components(graph, directed=False)
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first)).astype(np.int64)[inverse]
