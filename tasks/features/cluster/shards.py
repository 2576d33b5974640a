"""Extraction on a Dask cluster: shards of the work go to its workers, which fill the store that this process reads."""

import math
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import pyarrow as pa

from tasks.common.errors import GraftError
from tasks.common.progress import say, track
from tasks.features import recipe
from tasks.features.cluster import connection, worker
from tasks.features.cluster.worker import Job, Outcome, Shard, Terms
from tasks.features.extractor import Item
from tasks.features.recipe import Means, Setting

RETRIES = 3
# A worker that is done finds its next shard with the scheduler, and at the end none waits long for the others.
SHARDS_AHEAD = 2
SHARDS_AT_LEAST = 4
# Workers that join late look for the mark; `graft store prune` removes it when it is a day old.
SECONDS_A_MARK = 3600


def where(cluster: str | None) -> str | None:
    """Return what cluster to use: `features.cluster`, else GRAFT_CLUSTER, else None, which is this process alone."""
    return cluster or os.environ.get("GRAFT_CLUSTER") or None


def compute(address: str, work: Sequence[Item], setting: Setting, means: Means) -> dict[str, str]:
    """Do what `recipe.compute` does on the cluster at `address`; `local` is one of processes on this machine.

    `means.threads` counts the processes of a local cluster; elsewhere each worker brings its own number. Raises
    GraftError.
    """
    refused: set[str] = set()
    with connection.connected(address, means.threads) as client, _terms(setting, means) as terms:
        _check(client, address, terms)
        outcomes = _outcomes(client, address, Job(setting, terms, means.batch_size), work)
        marked = time.monotonic()
        for outcome in track(outcomes, len(work), means.label, size=len):
            refused |= outcome.refused
            if time.monotonic() - marked > SECONDS_A_MARK:
                _put_mark(terms)
                marked = time.monotonic()
    if not refused:
        return {}
    # A worker's copy of the images may be behind: what counts is whether this machine can use them.
    say(f"{means.label}: {len(refused):,} images that workers could not use are tried here")
    return recipe.compute([item for item in work if item.path in refused], setting, means)


@contextmanager
def _terms(setting: Setting, means: Means) -> Iterator[Terms]:
    """Yield what workers must meet, while there is a mark in the store by which they know it; raises GraftError."""
    mark = f".mark.{secrets.token_hex(8)}.tmp"
    root, versions = means.root.absolute(), worker.versions(setting.runtime)
    terms = Terms(setting.runtime, versions, root, means.store, setting.plain[0].id, mark)
    _put_mark(terms)
    try:
        yield terms
    finally:
        with suppress(GraftError):  # a store may let nobody delete; `graft store prune` takes away what stays
            means.store.place.delete(terms.folder, mark)


def _put_mark(terms: Terms) -> None:
    terms.store.place.put(terms.folder, terms.mark, pa.py_buffer(b""))


def _check(client: Any, address: str, terms: Terms) -> None:
    """Raise GraftError unless there are workers and all that takes part in the run is fit for it."""
    connection.wait_for_workers(client, address)
    # First what needs nothing but Graft itself: another one would stumble over the terms.
    for name, found in _sources(client, address).items():
        if found != worker.source():
            what = f"cannot load Graft: {_line(found)}" if isinstance(found, Exception) else f"has Graft {found}"
            message = (
                f"the {name} {what}, but here is Graft {worker.source()}. "
                "Use one commit on all machines, and restart what was started before an update."
            )
            raise GraftError(message)
    processors = {worker.processor()}
    with connection.answering(address):
        fit = client.run(worker.fit, terms, on_error="return")
    for found in fit.values():
        if isinstance(found, str):
            processors.add(found)
        elif not isinstance(found, _gone()):
            raise found
    if len(processors) > 1:
        kinds = ", ".join(sorted(one or "none" for one in processors))
        say(f"features: processors differ ({kinds}), so the last bits of a vector may depend on where it is computed")


def _sources(client: Any, address: str) -> dict[str, object]:
    """Return which source of Graft the scheduler and each worker have, or why they have none."""
    with connection.answering(address):
        try:
            known = client.run_on_scheduler(worker.source)
        except (ImportError, AttributeError, SyntaxError, TypeError, ValueError) as error:  # another Graft or Python
            known = error
        found = client.run(worker.source, on_error="return")
    workers = {f"worker at {name}": one for name, one in found.items() if not isinstance(one, _gone())}
    return {f"scheduler at {address}": known} | workers


def _gone() -> tuple[type[Exception], ...]:
    """Return what stands for a worker's answer when it has just gone."""
    from distributed.comm import CommClosedError

    return CommClosedError, TimeoutError


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _outcomes(client: Any, address: str, job: Job, work: Sequence[Item]) -> Iterator[Outcome]:
    """Yield what comes of each shard of the work, in no order; a shard whose worker ends goes to another one."""
    import dask
    import distributed

    # As the result of a task, and not as data that was sent out, it can be had again when every holder has ended.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
        shared = client.submit(_same, job, pure=False, retries=RETRIES)
    rows = max(job.batch_size, math.ceil(len(work) / (SHARDS_AT_LEAST * _slots(client, address))))
    rows = min(rows, recipe.segment_rows(job.setting))
    shards = (Shard(work[start : start + rows]) for start in range(0, len(work), rows))
    running: set[Any] = set()
    while True:
        room = SHARDS_AHEAD * _slots(client, address) - len(running)
        running |= {
            client.submit(worker.compute, shared, shard, pure=False, retries=RETRIES)
            for shard in islice(shards, max(0, room))
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


def _same(job: Job) -> Job:
    return job


def _slots(client: Any, address: str) -> int:
    """Return how many shards can be in work at once; 1 while all workers are gone."""
    with connection.answering(address):
        threads: dict[str, int] = client.nthreads()
    return max(1, sum(threads.values()))
