"""Fixtures and helpers that the tests of several stages share."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.common import params
from tasks.common.params import Params
from tasks.tables.accepted import Accepted

ROOT = Path(__file__).parents[2]
SPLITS = ("train", "train", "val", "test")

# The same examples in every run, and no limit of time: the machine may be busy.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def settings() -> Params:
    """Give the committed params."""
    return params.load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Make the committed starter base, once: importing TensorFlow and converting takes seconds."""
    from tasks.backbone.stage import make

    folder = tmp_path_factory.mktemp("base") / "backbone"
    make(settings.backbone, None, folder)
    return folder


def noise(seed: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return random pixels, uint8 [height, width, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_photos(root: Path, each: int) -> list[Accepted]:
    """Write `each` small images of several sizes into each of two class folders and return their manifest rows."""
    rows = []
    for place, label in enumerate(("dark", "light")):
        (root / label).mkdir(parents=True)
        for number in range(each):
            pixels = noise(100 * place + number, 20 + number, 31 - number) // 2 + 120 * place
            path = f"{label}/{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(root / path)
            rows.append(Accepted(path, label, SPLITS[number % len(SPLITS)]))
    return rows


def write_accepted(path: Path, rows: list[Accepted], root: Path | None = None) -> Path:
    """Write an accepted manifest of these rows; with the hashes of the images, if their folder is given."""
    table = pa.Table.from_pylist([row._asdict() for row in rows])
    if root is not None:
        hashes = [hashlib.sha256((root / row.path).read_bytes()).hexdigest() for row in rows]
        table = table.append_column("sha256", pa.array(hashes))
    pq.write_table(table, path)
    return path


@contextmanager
def nobody() -> Iterator[None]:
    """Act as a user without rights: root may write everywhere."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
