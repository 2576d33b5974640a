"""The nearest images in feature space, searched block by block."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.review.ranking.vectors import Vectors

BLOCK_BYTES = 64 << 20
# Above this number the neighbours of an image are looked for in a sample, because the cost grows with the square.
MAX_POOL = 100_000

Indices = npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """For each queried image, the nearest first: row numbers, int64 [n, k], and distances, float32 [n, k], 0..2.

    A distance is 1 minus the cosine. Where an image has fewer than k neighbours, the row number is -1 and the distance
    is infinite.
    """

    rows: Indices
    distances: Vectors


def find_neighbours(units: Vectors, queries: Indices, pool: Indices, groups: Indices, count: int) -> Neighbours:
    """Return the `count` nearest rows of `pool` for each row of `queries`, without rows of the query's own group.

    `units` are vectors of length 1, float32 [N, D], and `groups`, int64 [N], numbers the images that are known to be
    near-duplicates. Memory beside the result is bounded; time grows with the product of queries and pool.
    """
    blocks = list(_search(units, queries, pool, groups, min(count, len(pool))))
    if not blocks:
        return Neighbours(np.empty((0, count), np.int64), np.empty((0, count), np.float32))
    return Neighbours(*(np.concatenate(part) for part in zip(*blocks, strict=True)))


def choose_pool(images: int) -> Indices:
    """Return the row numbers among which neighbours are looked for: all, or a random MAX_POOL of them, sorted."""
    if images <= MAX_POOL:
        return np.arange(images)
    return np.sort(np.random.default_rng(0).choice(images, MAX_POOL, replace=False))


def _search(
    units: Vectors, queries: Indices, pool: Indices, groups: Indices, count: int
) -> Iterator[tuple[Indices, Vectors]]:
    candidates, candidate_groups = units[pool], groups[pool]
    size = max(1, BLOCK_BYTES // max(1, 4 * len(pool)))
    for start in range(0, len(queries), size):
        block = queries[start : start + size]
        distances = 1 - units[block] @ candidates.T
        distances[groups[block][:, None] == candidate_groups] = np.inf
        nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
        nearest_distances = np.take_along_axis(distances, nearest, axis=1)
        # Equal distances are ordered by row, so that the result does not depend on the partition.
        order = np.lexsort((nearest, nearest_distances), axis=1)
        sorted_distances = np.take_along_axis(nearest_distances, order, axis=1)
        rows = pool[np.take_along_axis(nearest, order, axis=1)]
        rows[np.isinf(sorted_distances)] = -1
        yield rows, np.maximum(sorted_distances, 0)
