"""The vectors of a request as the store has them, read through one index a collection."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.extraction.recipe import Recipe
from tasks.extraction.request import Positions, Request
from tasks.store import Index, Store, Vectors

CACHE_BYTES = 128 << 20
VARIANTS = 3  # exact, scaled, and views of scaled images


class Part(NamedTuple):
    """The vectors of a request that one recipe makes, by their positions, int64 [n]."""

    positions: Positions
    recipe: Recipe


class _Group(NamedTuple):
    """Vectors of a part that lie in the same collections: their positions, and an index a tap."""

    part_number: int
    positions: Positions
    indexes: list[Index]


class StoredVectors:
    """Looks up the vectors of a request; `parts` cover the request, each position once."""

    def __init__(self, request: Request, parts: Sequence[Part], store: Store) -> None:
        """Read the keys of the collections that the parts need; raises GraftError."""
        self._request = request
        self._width = parts[0].recipe.width
        self._groups: list[_Group] = []
        self._group_of = np.zeros(len(request), np.int64)
        for number, part in enumerate(parts):
            for mask, collections in part.recipe.by_collections(
                request.keys_at(part.positions), request.scaled[part.positions]
            ):
                positions = part.positions[mask]
                self._group_of[positions] = len(self._groups)
                cache_bytes = CACHE_BYTES // (VARIANTS * len(collections))
                indexes = [store.index(collection, cache_bytes) for collection in collections]
                self._groups.append(_Group(number, positions, indexes))

    def missing(self, part_number: int) -> Positions:
        """Return the positions of a part's vectors that the store lacks at one tap or more, in order."""
        positions = [np.empty(0, np.int64)]
        for group in self._groups:
            if group.part_number == part_number:
                keys = self._request.keys_at(group.positions)
                lacking = np.any([index.missing(keys) for index in group.indexes], axis=0)
                positions.append(group.positions[lacking])
        return np.sort(np.concatenate(positions))

    def refresh(self) -> None:
        """Take in what was written to the store since; raises GraftError."""
        for group in self._groups:
            for index in group.indexes:
                index.refresh()

    def read(self, positions: Positions) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """Return the vectors at these positions, float32 [n, width], and which of them are lost, bool [n].

        Raises GraftError when the store cannot be reached.
        """
        vectors = np.zeros((len(positions), self._width), np.float32)
        lost = np.zeros(len(positions), np.bool_)
        groups = self._group_of[positions]
        for number in np.unique(groups).tolist():
            rows = np.flatnonzero(groups == number)
            keys = self._request.keys_at(positions[rows])
            column = 0
            for index in self._groups[number].indexes:
                tap_vectors, missing = index.read(keys)
                vectors[rows, column : column + tap_vectors.shape[1]] = tap_vectors
                lost[rows] |= missing
                column += tap_vectors.shape[1]
        return vectors, lost

    def part_of(self, positions: Positions) -> Positions:
        """Return the number of the part that each position belongs to, int64 [n]."""
        parts = np.array([group.part_number for group in self._groups], np.int64)
        return np.asarray(parts[self._group_of[positions]])
