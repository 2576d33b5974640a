"""The requirements that every machine of a run meets: the same software, the images, and the same feature store."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from PIL import features

from tasks.common.errors import GraftError
from tasks.extraction.runtimes import Runtime
from tasks.store import Store

TASKS = Path(__file__).parents[2]
PACKAGES = ("common", "extraction", "images", "onnx", "store", "tables")


@dataclass(frozen=True, eq=False, repr=False)
class Requirements:
    """The properties that a machine must share with the one that started the run.

    `images` is the folder of the images; `marker` is the name of a marker that the run has put into the store.
    """

    runtime: Runtime
    versions: dict[str, str]
    images: Path
    store: Store
    marker: str


def versions(runtime: Runtime) -> dict[str, str]:
    """Return the versions of the software that decides the bytes of vectors besides their recipe, and of Dask."""
    names = ("onnxruntime", runtime, "Pillow", "numpy", "pyarrow", "distributed")
    libjpeg_turbo = features.version("libjpeg_turbo") or "missing"
    return {name: _version(name) for name in names} | {"libjpeg-turbo": libjpeg_turbo, "Graft": source_digest()}


@cache
def source_digest() -> str:
    """Return a digest of the source of Graft: its version stays the same between releases."""
    files = [path for package in PACKAGES for path in sorted((TASKS / package).rglob("*.py"))]
    content = b"".join(path.relative_to(TASKS).as_posix().encode() + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()[:12]


def processor() -> str:
    """Return the instruction sets of this processor, which decide the last bits of vectors."""
    return " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))


def check_machine(requirements: Requirements) -> str:
    """Return this machine's `processor`; raises GraftError that names the host and the requirement that it fails."""
    with errors_name_host():
        check(requirements)
    return processor()


def check(requirements: Requirements) -> None:
    """Raise GraftError if this machine does not meet a requirement."""
    for name, installed in versions(requirements.runtime).items():
        if installed != requirements.versions[name]:
            message = (
                f"{name} is {installed}, but {requirements.versions[name]} where the run was started. Only the same "
                "versions make the same vectors: use one commit and one requirements.lock on all machines, and restart "
                "what was started before an update."
            )
            raise GraftError(message)
    _check_images(requirements.images)
    store = requirements.store
    # A worker must be able to write, not only to read.
    probe = f"{requirements.marker}.{socket.gethostname()}"
    store.put_marker(probe)
    with suppress(GraftError):  # a store may forbid deletion; `graft store prune` removes the marker later
        store.remove_marker(probe)
    if not store.has_marker(requirements.marker):
        message = (
            f"{store.name} is not the feature store of the machine where the run was started. "
            "Set features.store to a folder or a bucket that all machines share."
        )
        raise GraftError(message)


@contextmanager
def errors_name_host() -> Iterator[None]:
    """Let errors say on which host they happened."""
    try:
        yield
    except GraftError as error:
        message = f"worker on {socket.gethostname()}: {error}"
        raise GraftError(message) from error


def _check_images(folder: Path) -> None:
    # The folder must hold files, but not certain ones: a copy that is behind does no harm.
    try:
        reason = "is empty" if next(folder.iterdir(), None) is None else ""
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    if reason:
        message = f"{folder} {reason}. Put the images under the same path on all machines."
        raise GraftError(message)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
