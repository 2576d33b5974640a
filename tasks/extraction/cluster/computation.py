"""Extraction on a Dask cluster: its workers compute shards of the workload into the store that this process reads."""

import math
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.common.errors import GraftError
from tasks.common.progress import say, track
from tasks.extraction.cluster import checks, connection
from tasks.extraction.cluster.checks import Requirements
from tasks.extraction.cluster.worker import Job, Shard, ShardResult, compute_shard
from tasks.extraction.extractor import segment_rows
from tasks.extraction.recipe import Recipe
from tasks.extraction.request import Workload
from tasks.store import Store

RETRIES = 3
# With the next shard waiting at the scheduler, no worker is idle; with at least four shards a worker, none waits long
# for the others at the end.
SHARDS_AHEAD = 2
SHARDS_PER_WORKER = 4
# Workers that join late look for the marker; `graft store prune` removes markers that are a day old.
SECONDS_PER_MARKER = 3600


def compute_on_cluster(
    address: str,
    workload: Workload,
    recipe: Recipe,
    images: Path,
    store: Store,
    batch_size: int,
    threads: int | None,
    name: str,
) -> set[str]:
    """Compute the vectors of the workload into the store, with progress under that name.

    `address` is that of a Dask scheduler, or `local` for a cluster of `threads` processes on this machine; elsewhere
    each worker brings its own number of threads.

    Returns:
        The paths of the images that workers could not use.

    Raises:
        GraftError: The cluster cannot be reached, or one of its machines does not meet the requirements.
    """
    refused: set[str] = set()
    with connection.connect(address, threads) as client, _requirements(recipe, images, store) as requirements:
        _check_cluster(client, address, requirements)
        job = Job(recipe, requirements, batch_size)
        marked = time.monotonic()
        for result in track(_results(client, address, job, workload), len(workload), name, size=len):
            refused |= result.refused
            if time.monotonic() - marked > SECONDS_PER_MARKER:
                store.put_marker(requirements.marker)
                marked = time.monotonic()
    return refused


@contextmanager
def _requirements(recipe: Recipe, images: Path, store: Store) -> Iterator[Requirements]:
    """Yield the requirements of the run, while a marker in the store lets workers recognize it; raises GraftError."""
    marker = secrets.token_hex(8)
    versions = checks.versions(recipe.runtime)
    store.put_marker(marker)
    try:
        yield Requirements(recipe.runtime, versions, images.absolute(), store, marker)
    finally:
        with suppress(GraftError):  # a store may forbid deletion; `graft store prune` removes the marker later
            store.remove_marker(marker)


def _check_cluster(client: Any, address: str, requirements: Requirements) -> None:
    """Raise GraftError unless there are workers and every machine meets the requirements."""
    connection.wait_for_workers(client, address)
    # The source is compared first: another version of Graft could not read the requirements.
    digest_here = checks.source_digest()
    for name, digest in _source_digests(client, address).items():
        if digest != digest_here:
            reason = (
                f"cannot load Graft: {_first_line(digest)}" if isinstance(digest, Exception) else f"has Graft {digest}"
            )
            message = (
                f"the {name} {reason}, but here is Graft {digest_here}. "
                "Use one commit on all machines, and restart what was started before an update."
            )
            raise GraftError(message)
    processors = {checks.processor()}
    with connection.scheduler_errors(address):
        results = client.run(checks.check_machine, requirements, on_error="return")
    for result in results.values():
        if isinstance(result, str):
            processors.add(result)
        elif not isinstance(result, _departure_errors()):
            raise result
    if len(processors) > 1:
        kinds = ", ".join(sorted(processor or "none" for processor in processors))
        say(f"features: processors differ ({kinds}), so the last bits of a vector may depend on where it is computed")


def _source_digests(client: Any, address: str) -> dict[str, object]:
    """Return the digest of Graft's source on the scheduler and on each worker, or the error where there is none."""
    with connection.scheduler_errors(address):
        try:
            scheduler_digest = client.run_on_scheduler(checks.source_digest)
        # Another Graft or Python on the scheduler fails to load the function in one of these ways.
        except (ImportError, AttributeError, SyntaxError, TypeError, ValueError) as error:
            scheduler_digest = error
        results = client.run(checks.source_digest, on_error="return")
    worker_digests = {
        f"worker at {worker}": result
        for worker, result in results.items()
        if not isinstance(result, _departure_errors())
    }
    return {f"scheduler at {address}": scheduler_digest} | worker_digests


def _departure_errors() -> tuple[type[Exception], ...]:
    """Return the errors that stand for a worker's answer when the worker has just left."""
    from distributed.comm import CommClosedError

    return CommClosedError, TimeoutError


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _results(client: Any, address: str, job: Job, workload: Workload) -> Iterator[ShardResult]:
    """Yield the result of each shard of the workload, in no order; a shard whose worker ends goes to another one."""
    import dask
    import distributed

    # The result of a task can be computed again when all its holders have ended; data sent to workers cannot.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
        shared_job = client.submit(_identity, job, pure=False, retries=RETRIES)
    rows = max(job.batch_size, math.ceil(len(workload) / (SHARDS_PER_WORKER * _slots(client, address))))
    rows = min(rows, segment_rows(job.recipe))
    shards = (Shard(workload.part(slice(start, start + rows))) for start in range(0, len(workload), rows))
    running: set[Any] = set()
    while True:
        free_slots = SHARDS_AHEAD * _slots(client, address) - len(running)
        running |= {
            client.submit(compute_shard, shared_job, shard, pure=False, retries=RETRIES)
            for shard in islice(shards, max(0, free_slots))
        }
        if not running:
            return
        try:
            done, running = distributed.wait(running, connection.SECONDS_FOR_WORKERS, return_when="FIRST_COMPLETED")
        except TimeoutError:
            connection.wait_for_workers(client, address)
            continue
        for future in done:
            yield future.result()


def _identity(job: Job) -> Job:
    return job


def _slots(client: Any, address: str) -> int:
    """Return how many shards can be computed at once; 1 while all workers are gone."""
    with connection.scheduler_errors(address):
        threads: dict[str, int] = client.nthreads()
    return max(1, sum(threads.values()))
