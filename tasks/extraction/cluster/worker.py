"""The work of a cluster's worker: it computes shards of a workload into the shared store."""

import threading
from dataclasses import dataclass
from functools import lru_cache

from tasks.extraction.cluster.checks import Requirements, check, errors_name_host
from tasks.extraction.extractor import Extractor, make_extractor
from tasks.extraction.recipe import Recipe
from tasks.extraction.request import Workload

_loading = threading.Lock()


@dataclass(frozen=True, eq=False, repr=False)
class Job:
    """The part of the work that all shards of a run share; a worker gets it once."""

    recipe: Recipe
    requirements: Requirements
    batch_size: int


@dataclass(frozen=True, eq=False, repr=False)
class Shard:
    """Some of the workload. It is wrapped, since Dask would look for its own objects in every item of a sequence."""

    workload: Workload


@dataclass(frozen=True)
class ShardResult:
    """The number of vectors of a shard, and the paths of its images that could not be used."""

    vectors: int
    refused: set[str]

    def __len__(self) -> int:
        """Return the number of vectors, refused ones included."""
        return self.vectors


def compute_shard(job: Job, shard: Shard) -> ShardResult:
    """Compute a shard into the store, in the one thread that a Dask task has.

    Raises GraftError, naming the host, if this machine does not meet the requirements of the run.
    """
    refused: set[str] = set()
    with errors_name_host():
        with _loading:
            extractor = _extractor(job)
        for batch in extractor.fill(shard.workload):
            refused |= batch.refused.keys()
    return ShardResult(len(shard.workload), refused)


@lru_cache(maxsize=2)  # two runs may share the cluster
def _extractor(job: Job) -> Extractor:
    """Return the extractor that all shards of a job share on this worker, which may have joined after the others."""
    from distributed import get_worker

    requirements = job.requirements
    check(requirements)
    workers = get_worker().state.nthreads
    return make_extractor(
        requirements.images, job.recipe, requirements.store, job.batch_size, threads=1, workers=workers
    )
