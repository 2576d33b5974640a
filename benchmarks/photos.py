"""Photographs to measure with: JPEG files of about 500x375 or of many megapixels, cut from scikit-learn's samples."""

import hashlib
from collections.abc import Sequence
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
MEGAPIXELS_12 = (4032, 3024)
MEGAPIXELS_48 = (8064, 6048)
GRAIN = 5.5  # standard deviation of the noise that gives 12 megapixels about 3 MB, as phones write them
LARGE_QUALITY = 88


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


def write_large(root: Path, count: int, size: tuple[int, int]) -> list[str]:
    """Write `count` photographs of that width and height into class folders below `root`; return their paths below it.

    Each is a random cut of 85 to 100 % of a photograph's width, enlarged, under a grain of its own; files of 12
    megapixels have about 3 MB.
    """
    sources = [Image.fromarray(photo) for photo in load_sample_images().images]
    for label in range(CLASSES):
        (root / str(label)).mkdir(parents=True, exist_ok=True)
    width, height = size
    # A field of noise is drawn once: for every photograph it would take longer than all else.
    grain = np.random.default_rng(0).normal(0, GRAIN, (height, width)).round().astype(np.int16)

    def write_photo(number: int) -> str:
        random = np.random.default_rng(number)
        source = sources[number % len(sources)]
        share = random.uniform(0.85, 1)
        cut_width, cut_height = int(source.width * share), int(source.height * share)
        left = int(random.integers(0, source.width - cut_width + 1))
        top = int(random.integers(0, source.height - cut_height + 1))
        box = (left, top, left + cut_width, top + cut_height)
        shift = (int(random.integers(height)), int(random.integers(width)))
        noisy = np.asarray(source.resize(size, box=box)) + np.roll(grain, shift, (0, 1))[..., None]
        path = f"{number % CLASSES}/{number:06}.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(root / path, quality=LARGE_QUALITY)
        return path

    return [write_photo(number) for number in range(count)]


def accept(root: Path, paths: list[str], manifest: Path, splits: Sequence[str] = ("train",)) -> None:
    """Write an accepted manifest of these images, which are of these splits by turns."""
    labels = [path.split("/")[0] for path in paths]
    in_turn = [splits[number % len(splits)] for number in range(len(paths))]
    hashes = [hashlib.sha256((root / path).read_bytes()).hexdigest() for path in paths]
    columns = {"path": paths, "label": labels, "split": in_turn, "sha256": hashes}
    table = pa.table(columns).append_column("group", pa.nulls(len(paths), pa.int64()))
    pq.write_table(table, manifest)
