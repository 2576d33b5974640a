"""What a worker of a cluster does: it shows that it is fit, then computes shards of the work into the shared store."""

import hashlib
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import features

from tasks.common.errors import GraftError
from tasks.features import recipe
from tasks.features.extractor import Engine, Item
from tasks.features.recipe import Setting
from tasks.features.runtimes import Runtime
from tasks.features.store import Store

PACKAGES = Path(__file__).parents[1]

_loading = threading.Lock()


@dataclass(frozen=True, eq=False, repr=False)
class Terms:
    """What every machine of a run must have in common with the one that started it.

    `root` is the folder of the images; `mark` is a file in a folder of the store.
    """

    runtime: Runtime
    versions: dict[str, str]
    root: Path
    store: Store
    folder: str
    mark: str


@dataclass(frozen=True, eq=False, repr=False)
class Job:
    """What all shards of a run share; a worker gets it once."""

    setting: Setting
    terms: Terms
    batch_size: int


@dataclass(frozen=True, eq=False, repr=False)
class Shard:
    """Some of the work. Not a list: Dask would look for its own objects in every field of every item."""

    items: Sequence[Item]


@dataclass(frozen=True)
class Outcome:
    """How many items a shard has, and the images of it that could not be used."""

    items: int
    refused: set[str]

    def __len__(self) -> int:
        """Return how many items were dealt with."""
        return self.items


def versions(runtime: Runtime) -> dict[str, str]:
    """Return the versions of what decides the bytes of vectors besides their setting, and of Dask."""
    found = {name: _version(name) for name in ("onnxruntime", runtime, "Pillow", "numpy", "pyarrow", "distributed")}
    return found | {"libjpeg-turbo": features.version("libjpeg_turbo") or "missing", "Graft": source()}


@cache
def source() -> str:
    """Return what tells this source of Graft from any other; its version stays the same between releases."""
    files = [path for package in ("common", "features") for path in sorted((PACKAGES / package).glob("*.py"))]
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()[:12]


def processor() -> str:
    """Return the instructions of this processor that decide the last bits of vectors."""
    return " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))


def fit(terms: Terms) -> str:
    """Return this machine's `processor`; raises GraftError that names the host if it does not meet the terms."""
    with _on_this_host():
        _check(terms)
    return processor()


def compute(job: Job, shard: Shard) -> Outcome:
    """Compute a shard into the store, in the one thread that a task of Dask has; raises GraftError like `fit`."""
    refused: set[str] = set()
    with _on_this_host():
        with _loading:
            engine = _engine(job)
        for batch in recipe.fill(engine, shard.items, job.setting, job.terms.store, job.batch_size, threads=1):
            refused |= batch.refused.keys()
    return Outcome(len(shard.items), refused)


@lru_cache(maxsize=2)  # two runs may share the cluster
def _engine(job: Job) -> Engine:
    """Return the engine that all shards of a job share on this worker, which may have joined after the others."""
    from distributed import get_worker

    _check(job.terms)
    return recipe.engine(job.terms.root, job.setting, get_worker().state.nthreads)


def _check(terms: Terms) -> None:
    for name, here in versions(terms.runtime).items():
        if here != terms.versions[name]:
            message = (
                f"{name} is {here}, but {terms.versions[name]} where the run was started. Only the same versions make "
                "the same vectors: use one commit and one requirements.lock on all machines, and restart what was "
                "started before an update."
            )
            raise GraftError(message)
    # Not a certain image: a copy that is behind does no harm.
    try:
        trouble = "is empty" if next(terms.root.iterdir(), None) is None else ""
    except OSError as error:
        trouble = f"cannot be read: {error.strerror}"
    if trouble:
        message = f"{terms.root} {trouble}. Put the images under the same path on all machines."
        raise GraftError(message)
    place, probe = terms.store.place, f".{socket.gethostname()}{terms.mark}"
    place.put(terms.folder, probe, pa.py_buffer(b""))
    with suppress(GraftError):
        place.delete(terms.folder, probe)
    if all(info.base_name != terms.mark for info in place.entries(terms.folder)):
        message = (
            f"{place.name} is not the feature store of the machine where the run was started. "
            "Set features.store to a folder or a bucket that all machines share."
        )
        raise GraftError(message)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


@contextmanager
def _on_this_host() -> Iterator[None]:
    try:
        yield
    except GraftError as error:
        message = f"worker on {socket.gethostname()}: {error}"
        raise GraftError(message) from error
