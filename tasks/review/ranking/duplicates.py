"""Near-duplicates that pixels do not show: pairs of images in different groups whose features are almost the same."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.review.ranking.neighbours import Indices, Neighbours

# The largest distance of a pair is this share of the median distance between nearest images.
NEARNESS = 0.15
DISTANCE_FLOOR = 1e-6


class Pair(NamedTuple):
    """Row numbers of two images, the smaller first, and the distance between them, 0..2."""

    first: int
    second: int
    distance: float


def find_duplicates(neighbours: Neighbours, labels: Indices, splits: Sequence[str]) -> list[Pair]:
    """Return the pairs that are nearer than NEARNESS of the usual distance between nearest images.

    Pairs with two labels come first, then those in two splits, then the others; within each, the nearest first.
    """
    nearest = neighbours.distances[:, 0] if neighbours.distances.shape[1] else np.empty(0, np.float32)
    nearest = nearest[np.isfinite(nearest)]
    if not len(nearest):
        return []
    limit = max(NEARNESS * float(np.median(nearest)), DISTANCE_FLOOR)
    queries, columns = np.nonzero(neighbours.distances <= limit)
    pairs = {}
    for query, column in zip(queries.tolist(), columns.tolist(), strict=True):
        other = int(neighbours.rows[query, column])
        first, second = sorted((query, other))
        pairs[first, second] = Pair(first, second, float(neighbours.distances[query, column]))

    def order(pair: Pair) -> tuple[bool, bool, float, int, int]:
        same_label = bool(labels[pair.first] == labels[pair.second])
        return same_label, splits[pair.first] == splits[pair.second], pair.distance, pair.first, pair.second

    return sorted(pairs.values(), key=order)
