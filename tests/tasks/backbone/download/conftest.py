"""Fixtures of the tests of downloads: a host on loopback, an empty cache, and no waiting."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.tasks.backbone.download.helpers import NAME
from tests.tasks.backbone.download.hosts import Host, serve


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Make a small weight file of the kind that Keras publishes."""
    path = tmp_path_factory.mktemp("weights") / NAME
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv1"]
        group = file.create_group("conv1")
        group.attrs["weight_names"] = [b"conv1/kernel:0"]
        group.create_dataset(
            "conv1/kernel:0", data=np.random.default_rng(1).standard_normal((3, 3, 64, 512), np.float32)
        )
    return path.read_bytes()


@pytest.fixture
def host(weights: bytes) -> Iterator[Host]:
    """Run a host that serves the weight file."""
    with serve(weights) as host:
        yield host


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return the folder of downloaded weights, which does not exist yet."""
    return tmp_path / "weights"


@pytest.fixture(autouse=True)
def delays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Use an empty cache and no other settings; record the delays between attempts instead of sleeping."""
    for name in (
        "GRAFT_MIRROR",
        "GRAFT_OFFLINE",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "SSL_CERT_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # loading the usual authorities takes longer than a test
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds
