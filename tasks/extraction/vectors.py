"""The vectors of a request: those that the store lacks are computed, here or on a cluster, then all can be read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.common.errors import GraftError
from tasks.common.params import Features
from tasks.common.progress import say
from tasks.extraction.cluster.computation import compute_on_cluster
from tasks.extraction.cluster.connection import cluster_address
from tasks.extraction.extractor import compute, make_extractor
from tasks.extraction.request import Positions, Request
from tasks.extraction.stored_vectors import Part, StoredVectors
from tasks.store import Store, Vectors


class Extraction(NamedTuple):
    """The result of an extraction over n vectors.

    `used`, bool [n], says which vectors there are, `refused` has the reasons by path for the images of the others, and
    `read` returns the vectors, float32 [m, width], at m positions that are used.
    """

    used: npt.NDArray[np.bool_]
    refused: dict[str, str]
    read: Callable[[Positions], Vectors]


def extract(
    images: Path, request: Request, parts: Sequence[Part], store: Store, params: Features, name: str
) -> Extraction:
    """Compute the vectors of the request that the store lacks; `name` begins the lines of progress.

    `parts` cover the request, each position once. Of `params`, batch_size, threads and cluster are used. A vector that
    is lost from the store when it is read is computed again.

    Raises:
        GraftError: The store or the cluster cannot be used, or the processor cannot compute in a recipe's precision.
    """
    computation = _Computation(images, request, store, params, name)
    stored = StoredVectors(request, parts, store)
    refused: dict[str, str] = {}
    for number, part in enumerate(parts):
        missing = stored.missing(number)
        say(f"{name}: {len(part.positions):,} vectors wanted, {len(part.positions) - len(missing):,} in the store")
        if len(missing):
            refused |= computation.compute_missing(part, missing)
    stored.refresh()
    used = np.array([request.paths[row] not in refused for row in request.image_rows.tolist()], np.bool_)
    return Extraction(used, refused, _reader(stored, parts, computation))


class _Computation(NamedTuple):
    """Computes vectors of a request into the store."""

    images: Path
    request: Request
    store: Store
    params: Features
    name: str

    def compute_here(self, part: Part, positions: Positions) -> dict[str, str]:
        """Compute the vectors at these positions; return the reasons by path for images that cannot be used."""
        extractor = make_extractor(self.images, part.recipe, self.store, self.params.batch_size, self.params.threads)
        return compute(self.request.workload(positions), extractor, self.name)

    def compute_missing(self, part: Part, positions: Positions) -> dict[str, str]:
        """Compute as `compute_here` does, on the cluster if there is one."""
        address = cluster_address(self.params.cluster)
        if address is None:
            return self.compute_here(part, positions)
        workload = self.request.workload(positions)
        refused = compute_on_cluster(
            address,
            workload,
            part.recipe,
            self.images,
            self.store,
            self.params.batch_size,
            self.params.threads,
            self.name,
        )
        if not refused:
            return {}
        # A worker's copy of the images may be behind: only this machine decides whether they can be used.
        say(f"{self.name}: {len(refused):,} images that workers could not use are tried here")
        in_refused = [path in refused for path in workload.paths]
        return self.compute_here(part, positions[np.array(in_refused, np.bool_)])


def _reader(stored: StoredVectors, parts: Sequence[Part], computation: _Computation) -> Callable[[Positions], Vectors]:
    """Return a function from positions to vectors; it computes again what turns out to be lost from the store."""

    def read(positions: Positions) -> Vectors:
        vectors, lost = stored.read(positions)
        if not lost.any():
            return vectors
        say(f"{computation.name}: {lost.sum():,} vectors were lost from the store and are computed again")
        numbers = stored.part_of(positions)
        for number, part in enumerate(parts):
            lost_positions = positions[lost & (numbers == number)]
            # A repair is small, so it does not go to a cluster.
            if len(lost_positions) and (changed := computation.compute_here(part, lost_positions)):
                message = f"{len(changed):,} images changed while the stage ran. Run it again."
                raise GraftError(message)
        stored.refresh()
        vectors, lost = stored.read(positions)
        if lost.any():
            message = "the feature store loses vectors while they are read. Set features.store to another location."
            raise GraftError(message)
        return vectors

    return read
