"""Fixtures of the tests on real Dask clusters."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.backbone.stage import make
from tasks.features import recipe
from tests.integration.cluster.machines import SETTINGS, Gate, Machines, Run
from tests.tasks.conftest import write_accepted, write_photos


@pytest.fixture
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    found = Machines(tmp_path_factory.mktemp("machines"))
    yield found
    found.end()


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a scheduler with two workers that no test harms."""
    found = Machines(tmp_path_factory.mktemp("machines"))
    address = found.scheduler()
    found.worker(address)
    found.worker(address)
    yield address
    found.end()


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the starter base."""
    folder = tmp_path_factory.mktemp("base")
    make(SETTINGS.backbone, None, folder / "backbone")
    return folder / "backbone" / "backbone.onnx"


@pytest.fixture
def run(tmp_path: Path, backbone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(recipe, "SEGMENT_ROWS", 2)
    monkeypatch.delenv("GRAFT_CLUSTER", raising=False)
    found = Run(tmp_path, backbone, capsys)
    found.rows = write_photos(tmp_path / "photos", 8)
    write_accepted(tmp_path / "accepted.parquet", found.rows, tmp_path / "photos")
    return found


@pytest.fixture
def gate(run: Run) -> Iterator[Gate]:
    found = Gate(run.folder / "photos" / run.rows[-1].path)
    yield found
    if found.end is not None:
        os.close(found.end)
