"""Training images for the page: their features in a file of numbers, and their thumbnails on one sheet."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from graft.classifier import Classifier
from graft.sources import FileSource
from tasks.common.errors import ImageError
from tasks.common.progress import track
from tasks.common.text import readable

MOST_IMAGES = 300
SIDE = 96
COLUMNS = 20
QUALITY = 80


class TrainingImage(NamedTuple):
    """An image file with its class, and the name that the page shows."""

    path: Path
    label: str
    name: str


def choose(images: Sequence[TrainingImage]) -> list[TrainingImage]:
    """Return at most MOST_IMAGES of the images, as many of each class as possible, in their order."""
    by_label: dict[str, list[int]] = {}
    for index, image in enumerate(images):
        by_label.setdefault(image.label, []).append(index)
    chosen: list[int] = []
    rank = 0
    while len(chosen) < min(MOST_IMAGES, len(images)):
        turn = [indexes[rank] for indexes in by_label.values() if rank < len(indexes)]
        chosen += turn[: MOST_IMAGES - len(chosen)]
        rank += 1
    return [images[index] for index in sorted(chosen)]


def write_similar(folder: Path, classifier: Classifier, images: Sequence[TrainingImage]) -> dict[str, Any] | None:
    """Write `similar.bin` (features of unit length, float32) and `similar.webp`; return their description.

    Images that cannot be read are left out; None is returned if none is left.
    """
    chosen = choose(images)
    sources = [FileSource(image.name, image.path) for image in chosen]
    predictions = track(classifier.stream(sources, features=True), len(chosen), "graft demo")
    rows, items, thumbnails = [], [], []
    for image, source, prediction in zip(chosen, sources, predictions, strict=True):
        if prediction.features is None:
            continue
        try:
            pixels = classifier.decode(source.read())
        except ImageError:  # it changed meanwhile
            continue
        rows.append(prediction.features / max(float(np.linalg.norm(prediction.features)), 1e-12))
        items.append({"label": image.label, "path": readable(image.name)})
        thumbnails.append(_thumbnail(Image.fromarray(pixels)))
    if not rows:
        return None
    sheet = Image.new("RGB", (SIDE * min(COLUMNS, len(rows)), SIDE * math.ceil(len(rows) / COLUMNS)), "white")
    for index, thumbnail in enumerate(thumbnails):
        sheet.paste(thumbnail, (SIDE * (index % COLUMNS), SIDE * (index // COLUMNS)))
    sheet.save(folder / "similar.webp", quality=QUALITY)
    vectors = np.stack(rows).astype("<f4")
    (folder / "similar.bin").write_bytes(vectors.tobytes())
    return {"items": items, "width": vectors.shape[1], "side": SIDE, "columns": COLUMNS}


def _thumbnail(image: Image.Image) -> Image.Image:
    """Return the image inside a square; small ones are enlarged."""
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    square = Image.new("RGB", (SIDE, SIDE), "white")
    square.paste(image.resize(size), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square
