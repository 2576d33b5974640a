"""Fixtures of the tests on real Dask clusters."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.extraction import extractor
from tests.integration.cluster.machines import Gate, Machines, Run
from tests.tasks.conftest import write_accepted, write_photos


@pytest.fixture
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    machines = Machines(tmp_path_factory.mktemp("machines"))
    yield machines
    machines.end()


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a scheduler with two workers that no test harms."""
    machines = Machines(tmp_path_factory.mktemp("machines"))
    address = machines.scheduler()
    machines.worker(address)
    machines.worker(address)
    yield address
    machines.end()


@pytest.fixture
def run(tmp_path: Path, backbone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(extractor, "SEGMENT_ROWS", 2)
    monkeypatch.delenv("GRAFT_CLUSTER", raising=False)
    run = Run(tmp_path, backbone / "backbone.onnx", capsys)
    run.rows = write_photos(tmp_path / "photos", 8)
    write_accepted(tmp_path / "accepted.parquet", run.rows, tmp_path / "photos")
    return run


@pytest.fixture
def gate(run: Run) -> Iterator[Gate]:
    gate = Gate(run.folder / "photos" / run.rows[-1].path)
    yield gate
    if gate.end is not None:
        os.close(gate.end)
