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
from PIL import Image

from tasks.tables.accepted import Accepted

ROOT = Path(__file__).parents[2]
SPLITS = ("train", "train", "val", "test")

# The same examples in every run, and no limit of time: the machine may be busy.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


def noise(seed: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return random pixels, uint8 [height, width, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_photos(root: Path, images_per_class: int) -> list[Accepted]:
    """Write small images of several sizes into two class folders and return their rows."""
    rows = []
    for class_index, label in enumerate(("dark", "light")):
        (root / label).mkdir(parents=True)
        for number in range(images_per_class):
            pixels = noise(100 * class_index + number, 20 + number, 31 - number) // 2 + 120 * class_index
            path = f"{label}/{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(root / path)
            rows.append(Accepted(path, label, SPLITS[number % len(SPLITS)], hash_file(root / path)))
    return rows


def write_accepted(path: Path, rows: list[Accepted], root: Path | None = None) -> Path:
    """Write accepted.parquet with these rows; given the images' folder, with their present hashes."""
    if root is not None:
        rows = [row._replace(sha256=hash_file(root / row.path)) for row in rows]
    pq.write_table(pa.Table.from_pylist([row._asdict() for row in rows]), path)
    return path


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
