"""Photographs to measure with: JPEG files of about 500x375, cut from scikit-learn's two sample photographs."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_sample_images

from tasks.common.threads import available_cores

CLASSES = 4
WIDTH, HEIGHT = 500, 375


def write(root: Path, count: int, first: int = 0) -> list[str]:
    """Write `count` photographs, numbered from `first`, into class folders below `root`; return their paths below it.

    Each is a random cut of 85 to 100 % of a photograph's width, enlarged or reduced to about 500x375, with noise of a
    random strength, at a quality of 75 to 95: no two are alike, and they decode as photographs do.
    """
    sources = [Image.fromarray(photo) for photo in load_sample_images().images]
    for label in range(CLASSES):
        (root / str(label)).mkdir(parents=True, exist_ok=True)

    def write_photo(number: int) -> str:
        random = np.random.default_rng(number)
        source = sources[number % len(sources)]
        share = random.uniform(0.85, 1)
        width, height = int(source.width * share), int(source.height * share)
        left = int(random.integers(0, source.width - width + 1))
        top = int(random.integers(0, source.height - height + 1))
        size = (WIDTH + int(random.integers(-20, 21)), HEIGHT + int(random.integers(-20, 21)))
        cut = np.asarray(source.crop((left, top, left + width, top + height)).resize(size), np.float32)
        noisy = cut + random.normal(0, random.uniform(1, 6), cut.shape)
        path = f"{number % CLASSES}/{number:06}.jpg"
        picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        picture.save(root / path, quality=int(random.integers(75, 96)))
        return path

    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(write_photo, range(first, first + count)))


def accept(root: Path, paths: list[str], manifest: Path) -> None:
    """Write an accepted manifest of these images, all for training."""
    hashes = [hashlib.sha256((root / path).read_bytes()).hexdigest() for path in paths]
    columns = {"path": paths, "label": [path.split("/")[0] for path in paths], "split": ["train"] * len(paths)}
    pq.write_table(pa.table(columns | {"sha256": hashes}), manifest)
