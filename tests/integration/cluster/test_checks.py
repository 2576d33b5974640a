"""Every machine of a cluster must have the same Graft, versions, images and store as the run."""

import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.extraction.cluster import checks
from tests.integration.cluster.machines import HERE, Gate, Machines, Run, error
from tests.tasks.conftest import ROOT

pytestmark = pytest.mark.timeout(60)

HOST = socket.gethostname()


@pytest.fixture
def far_worker(run: Run, machines: Machines, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the address of a scheduler with a worker, for which HERE is another folder than for the run."""
    address = machines.scheduler()
    machines.worker(address)
    monkeypatch.chdir(run.folder)
    return address


def test_a_worker_that_cannot_see_the_images_is_refused(run: Run, far_worker: str) -> None:
    assert error(lambda: run("cluster", far_worker, root=HERE)) == (
        f"worker on {HOST}: /proc/self/cwd/photos cannot be read: No such file or directory. "
        "Put the images under the same path on all machines."
    )


def test_a_worker_whose_folder_of_images_is_empty_is_refused(run: Run, machines: Machines, far_worker: str) -> None:
    (machines.folder / "photos").mkdir()
    assert error(lambda: run("cluster", far_worker, root=HERE)) == (
        f"worker on {HOST}: /proc/self/cwd/photos is empty. Put the images under the same path on all machines."
    )


def test_a_worker_with_another_store_is_refused(run: Run, far_worker: str) -> None:
    assert error(lambda: run("cluster", far_worker, store=str(HERE / "store"))) == (
        f"worker on {HOST}: /proc/self/cwd/store is not the feature store of the machine where the run was started. "
        "Set features.store to a folder or a bucket that all machines share."
    )
    assert run.segments() == []


def test_a_worker_that_cannot_write_the_store_is_refused(run: Run, machines: Machines, far_worker: str) -> None:
    (machines.folder / "store").write_text("")
    assert error(lambda: run("cluster", far_worker, store=str(HERE / "store"))).startswith(
        f"worker on {HOST}: the feature store /proc/self/cwd/store cannot be written to: Not a directory. "
    )


def shadow(folder: Path, name: str, version: str) -> str:
    """Make a folder that, on the Python path, makes a package look like another version; return it."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return str(folder)


@pytest.mark.parametrize("name", ["onnxruntime", "Pillow"])
def test_a_worker_with_another_version_of_a_library_that_decides_the_bytes_is_refused(
    run: Run, machines: Machines, name: str
) -> None:
    address = machines.scheduler()
    machines.worker(address, path=shadow(machines.folder / "shadow", name, "0.1"))
    here = checks.versions("onnxruntime")[name]
    assert error(lambda: run("cluster", address)) == (
        f"worker on {HOST}: {name} is 0.1, but {here} where the run was started. Only the same versions make the "
        "same vectors: use one commit and one requirements.lock on all machines, and restart what was started before "
        "an update."
    )
    assert run.segments() == []


def test_a_worker_that_joins_late_meets_the_same_requirements(run: Run, machines: Machines, gate: Gate) -> None:
    address = machines.scheduler()
    machines.worker(address)
    going = run.behind("cluster", address)
    gate.reader(going)
    machines.worker(address, path=shadow(machines.folder / "shadow", "numpy", "0.1"))
    gate.open()
    machines.all[1].kill()
    assert error(going.result).startswith(f"worker on {HOST}: numpy is 0.1, but ")


def other_graft(folder: Path) -> str:
    """Copy this project's source with one more line; return the folder."""
    shutil.copytree(ROOT / "tasks", folder / "tasks", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "tasks" / "images" / "decoding.py").open("a") as file:
        file.write("# Changed.\n")
    return str(folder)


def no_graft(folder: Path) -> str:
    """Make a folder that hides this project on the Python path; return it."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks" / "__init__.py").touch()
    return str(folder)


@pytest.mark.parametrize("machine", ["scheduler", "worker"])
@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (no_graft, r"cannot load Graft: .*No module named 'tasks\.extraction'.*"),
        (other_graft, "has Graft [0-9a-f]{12}"),
    ],
    ids=["no Graft", "another Graft"],
)
def test_a_scheduler_or_a_worker_without_this_graft_is_refused(
    run: Run, machines: Machines, machine: str, other: Callable[[Path], str], reason: str
) -> None:
    path = other(machines.folder / "other")
    address = machines.scheduler(path if machine == "scheduler" else "")
    machines.worker(address, path if machine == "worker" else "")
    assert re.fullmatch(
        rf"the {machine} at tcp://127\.0\.0\.1:\d+ {reason}, but here is Graft {checks.source_digest()}\. "
        r"Use one commit on all machines, and restart what was started before an update\.",
        error(lambda: run("cluster", address)),
    )
    assert run.segments() == []


@pytest.mark.skipif(not checks.processor(), reason="this processor has no instruction sets that can be switched off")
def test_processors_that_differ_are_reported(run: Run, machines: Machines) -> None:
    address = machines.scheduler()
    machines.worker(address, NPY_DISABLE_CPU_FEATURES=checks.processor())
    assert (
        f"features: processors differ ({checks.processor()}, none), "
        "so the last bits of a vector may depend on where it is computed"
    ) in run("cluster", address)
