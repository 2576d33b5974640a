"""Live training: every image is computed from its pixels in every epoch, in a view that is drawn anew."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from tasks.common.threads import available_cores
from tasks.extraction.recipe import Augmentation
from tasks.finetuning.batches import Batch, Floats, epoch_order
from tasks.images import augmentation
from tasks.images.augmentation import make_view
from tasks.images.decoding import Pixels
from tasks.images.inference import Inference, Item, require_all
from tasks.images.resized import ResizedPixels
from tasks.onnx.resizing import read_preprocessing, resize_session
from tasks.onnx.sessions import Array
from tasks.store import Store

LAST_VIEW = 65_535


class StoredPixels(ResizedPixels):
    """Resized pixels that are found in the store and never kept there: an epoch's views are not needed again."""

    def is_expensive(self, width: int, height: int) -> bool:  # noqa: ARG002
        """Return that the pixels are not worth keeping."""
        return False


class LiveBatches:
    """Batches of resized pixels, uint8 [n, S, S, 3], decoded by worker threads while the network runs."""

    def __init__(self, images: list[Item], targets: Floats, inference: Inference, batch_size: int, seed: int) -> None:
        """Take the images, each once, and their one-hot targets, float32 [N, classes]."""
        self._images, self._targets, self._inference = images, targets, inference
        self._batch_size, self._seed = batch_size, seed

    def __len__(self) -> int:
        """Return the number of batches in an epoch; the last may be smaller."""
        return math.ceil(len(self._images) / self._batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of the epoch of that number (>= 1), in which every image is its view of that number."""
        order = epoch_order(len(self._images), self._seed, number)
        view = (number - 1) % LAST_VIEW + 1
        items = [self._images[row]._replace(view=view) for row in order.tolist()]
        start = 0
        batches = self._inference.run(items, self._batch_size, available_cores())
        for batch in require_all(batches, self._inference.root):
            rows = order[start : start + len(batch)]
            start += len(batch)
            yield Batch(batch.outputs, self._targets[rows])


def pixel_inference(images: Path, backbone: onnx.ModelProto, views: Augmentation, store: Store) -> Inference:
    """Return the way from images and views to the pixels that the base takes, by the resize of the graph `backbone`."""
    resize = resize_session(backbone)
    preprocessing = read_preprocessing(backbone, augmentation.identity(views.spec, views.seed))

    def prepare(pixels: Pixels, item: Item) -> Array:
        view = make_view(pixels, item.sha256, item.view, views.seed, views.spec)
        return np.asarray(resize(view[None])[0])

    return Inference(images, prepare, lambda batch: [batch], preprocessing.min_side, StoredPixels(store, preprocessing))
