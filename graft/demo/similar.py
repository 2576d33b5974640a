"""Training images for the page: their features in a file of numbers, and their thumbnails on one sheet."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graft.classifier import Classifier
from graft.demo.training_images import TrainingImage, choose
from graft.sources import FileSource
from tasks.common.errors import GraftError, ImageError
from tasks.common.progress import say, track
from tasks.common.text import count, printable

VECTORS, SHEET = "similar.bin", "similar.webp"
SIDE = 96
COLUMNS = 20
QUALITY = 80


def write_similar(folder: Path, classifier: Classifier, images: Sequence[TrainingImage]) -> dict[str, Any]:
    """Write `similar.bin` (features of length 1, float32 [N, D]) and `similar.webp`, and return their description.

    Images that cannot be read are left out, and counted on standard error.

    Raises:
        GraftError: None of the images can be read, or the model has no output `features`.
    """
    chosen = choose(images)
    sources = [FileSource(image.name, image.path) for image in chosen]
    predictions = track(classifier.stream(sources, features=True), len(chosen), "graft demo")
    rows, items, thumbnails, errors = [], [], [], []
    for image, source, prediction in zip(chosen, sources, predictions, strict=True):
        try:
            if prediction.features is None:
                raise ImageError(prediction.error or "")
            thumbnails.append(_thumbnail(Image.fromarray(classifier.decode(source.read()))))
        except ImageError as error:
            errors.append(f"{printable(image.name)} {error}")
            continue
        rows.append(prediction.features / max(float(np.linalg.norm(prediction.features)), 1e-12))
        items.append({"label": printable(image.label), "path": printable(image.name)})
    if not rows:
        message = f"none of {count(len(chosen), 'training image')} can be read: {errors[0]}."
        raise GraftError(message)
    if errors:
        say(f"graft demo: {count(len(errors), 'training image')} cannot be read and are left out; first: {errors[0]}")
    sheet = Image.new("RGB", (SIDE * min(COLUMNS, len(rows)), SIDE * math.ceil(len(rows) / COLUMNS)), "white")
    for index, thumbnail in enumerate(thumbnails):
        sheet.paste(thumbnail, (SIDE * (index % COLUMNS), SIDE * (index // COLUMNS)))
    sheet.save(folder / SHEET, quality=QUALITY)
    vectors = np.stack(rows).astype("<f4")
    (folder / VECTORS).write_bytes(vectors.tobytes())
    return {"items": items, "width": vectors.shape[1], "side": SIDE, "columns": COLUMNS}


def _thumbnail(image: Image.Image) -> Image.Image:
    """Return the middle of the image as a square of SIDE pixels; small images are enlarged."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((SIDE, SIDE), box=(left, top, left + side, top + side))
