"""The connection to a Dask cluster: one at an address or a local one; its errors become one line."""

import asyncio
import logging
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from tasks.common.errors import GraftError
from tasks.common.progress import say
from tasks.common.threads import available_cores

LOCAL = "local"
SECONDS_TO_CONNECT = 5
SECONDS_FOR_WORKERS = 30
LOCAL_CLUSTER = {
    "threads_per_worker": 1,
    "processes": True,
    "host": "127.0.0.1",
    "dashboard_address": None,
    # Dask opens the port of the dashboard without one too; another cluster may have the usual one.
    "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},
    "memory_limit": 0,
    # A terminal sends Ctrl-C to every process; this one handles it and ends the others.
    "preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
    "silence_logs": logging.CRITICAL,
}


def cluster_address(cluster: str | None) -> str | None:
    """Return the cluster to use: `features.cluster`, else GRAFT_CLUSTER, else None, which is this process alone."""
    return cluster or os.environ.get("GRAFT_CLUSTER") or None


@contextmanager
def connect(address: str, threads: int | None) -> Iterator[Any]:
    """Yield a client of the cluster at `address`, or of a local one of `threads` processes; raises GraftError.

    When the context is left, even by an error, its tasks are dropped and a local cluster ends.
    """
    try:
        import distributed
        from distributed.comm import CommClosedError
        from distributed.utils import silence_logging_cmgr
    except ImportError as error:
        message = "features.cluster is set, but Dask is not installed. Run `pip install 'graft[cluster]'`."
        raise GraftError(message) from error
    try:
        # Dask's own logs and warnings are silenced: the same faults are raised below as one line each.
        with (
            silence_logging_cmgr(logging.CRITICAL),
            warnings.catch_warnings(action="ignore", category=distributed.versions.VersionMismatchWarning),
            _local(threads) if address == LOCAL else _remote(address) as client,
        ):
            yield client
    except distributed.KilledWorker as error:
        message = (
            f"workers of the Dask cluster {address} ended {error.allowed_failures + 1} times over one shard, the last "
            f"at {error.last_worker.address}. See their logs; often it is too little memory. What was computed is kept."
        )
        raise GraftError(message) from error
    except (CancelledError, CommClosedError) as error:
        raise _connection_lost(address) from error


@contextmanager
def scheduler_errors(address: str) -> Iterator[None]:
    """Turn errors of a scheduler that no longer answers into GraftError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise _connection_lost(address) from error


def _connection_lost(address: str) -> GraftError:
    return GraftError(
        f"the connection to the Dask scheduler at {address} was lost. "
        "Run the stage again when it is back: what was computed is kept."
    )


def wait_for_workers(client: Any, address: str) -> None:
    """Wait until the cluster has a worker; raises GraftError after SECONDS_FOR_WORKERS without one."""
    with scheduler_errors(address):
        threads = client.nthreads()
    if threads:
        return
    say(f"features: the Dask scheduler at {address} has no workers; waiting {SECONDS_FOR_WORKERS} s for one")
    try:
        client.wait_for_workers(1, SECONDS_FOR_WORKERS)
    except TimeoutError as error:
        message = f"the Dask scheduler at {address} has no workers. Start some with `dask worker {address}`."
        raise GraftError(message) from error


@contextmanager
def _local(threads: int | None) -> Iterator[Any]:
    import distributed

    try:
        cluster = distributed.LocalCluster(**LOCAL_CLUSTER, n_workers=threads or available_cores())
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        message = f"a local Dask cluster cannot be started: {reason}. Correct Dask's settings, or features.cluster."
        raise GraftError(message) from error
    with cluster, distributed.Client(cluster) as client:
        yield client


@contextmanager
def _remote(address: str) -> Iterator[Any]:
    import distributed
    from distributed.comm import connect as open_connection

    try:
        arguments = distributed.Security().get_connection_args("client")
    except OSError as error:
        message = f"the certificates that Dask's settings name cannot be used: {error}. Correct these settings."
        raise GraftError(message) from error

    async def try_connection() -> None:
        connection = await asyncio.wait_for(open_connection(address, **arguments), SECONDS_TO_CONNECT)
        connection.abort()

    try:
        asyncio.run(try_connection())  # Dask's client would wait for ever for a server that stays silent
        client = distributed.Client(address, timeout=SECONDS_TO_CONNECT)
    except (
        OSError,
        MemoryError,
    ) as error:  # bytes of another kind of server may announce a message of any length
        message = (
            f"no Dask scheduler answers at {address}. Start one there with `dask scheduler`, "
            "or correct features.cluster (or GRAFT_CLUSTER)."
        )
        raise GraftError(message) from error
    except (ValueError, TypeError, RuntimeError) as error:
        message = f"features.cluster must be local or an address such as tcp://HOST:8786; found {address}: {error}."
        raise GraftError(message) from error
    with client:
        yield client
