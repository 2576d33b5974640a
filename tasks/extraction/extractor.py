"""Images in, vectors out: each image is read, augmented, resized and run through the base; segments go to the store."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from tasks.common.progress import say, track
from tasks.common.threads import available_cores
from tasks.extraction.recipe import Recipe
from tasks.extraction.request import Workload
from tasks.extraction.runtimes import load_forward
from tasks.images.augmentation import make_view
from tasks.images.decoding import Pixels
from tasks.images.inference import Array, Batch, Inference, Item
from tasks.images.preprocessing import Mask
from tasks.images.resized import ResizedPixels
from tasks.onnx.resizing import resize_session
from tasks.store import Keys, Store

SEGMENT_BYTES = 8 << 20
SEGMENT_ROWS = 1024


@dataclass(frozen=True)
class Extractor:
    """Computes the vectors of a recipe into a store, in `threads` threads, `batch_size` images a forward pass."""

    recipe: Recipe
    store: Store
    inference: Inference
    batch_size: int
    threads: int

    def fill(self, workload: Workload) -> Iterator[Batch]:
        """Compute the vectors of the workload into the store; yield each batch when it is done.

        Segments are written as soon as they are full, so that a killed process loses one segment of work at most.
        """
        writer = _SegmentWriter(self.store, self.recipe)
        start = 0
        for batch in self.inference.run(workload, self.batch_size, self.threads):
            part = workload.part(slice(start, start + len(batch)))
            usable = np.array([path not in batch.refused for path in part.paths], np.bool_)
            writer.add(part.keys.take(usable), part.scaled[usable], batch.outputs)
            start += len(batch)
            yield batch
        writer.flush()


def make_extractor(
    root: Path, recipe: Recipe, store: Store, batch_size: int, threads: int | None, workers: int | None = None
) -> Extractor:
    """Return the extractor of a recipe for the images below `root`.

    `threads` None means one a core. `workers` is the number of threads that call the base at once, by default
    `threads`; a worker of a cluster passes its own number, because its shards share the extractor. Raises GraftError
    when this processor cannot compute in the recipe's precision.
    """
    count = threads or available_cores()
    model = onnx.load_from_string(recipe.model)
    resize = resize_session(model)
    tensors = [tap.tensor for tap in recipe.taps]
    forward = load_forward(model, tensors, recipe.runtime, recipe.precision, workers or count)
    spec, seed = recipe.augmentation

    def prepare(pixels: Pixels, item: Item) -> Array:
        view = make_view(pixels, item.sha256, item.view, seed, spec)
        return np.asarray(resize(view[None])[0])

    resized = ResizedPixels(store, recipe.preprocessing)
    inference = Inference(root, prepare, forward, recipe.preprocessing.min_side, resized)
    return Extractor(recipe, store, inference, batch_size, count)


def compute(workload: Workload, extractor: Extractor, name: str) -> dict[str, str]:
    """Compute the vectors of the workload into the store, with progress under that name.

    Returns:
        The reasons by path for the images that could not be used.
    """
    refused: dict[str, str] = {}
    for batch in track(extractor.fill(workload), len(workload), name, size=len):
        refused |= batch.refused
    for path, reason in refused.items():
        say(f"{name}: {path} is set aside: {reason}")
    return refused


def segment_rows(recipe: Recipe) -> int:
    """Return how many vectors make a segment: quick to read, and quick to compute again when they are lost."""
    return max(1, min(SEGMENT_ROWS, SEGMENT_BYTES // (4 * max(tap.width for tap in recipe.taps))))


class _SegmentWriter:
    """Collects the vectors of batches until they make a segment."""

    def __init__(self, store: Store, recipe: Recipe) -> None:
        self._store, self._recipe = store, recipe
        self._segment_rows = segment_rows(recipe)
        self._keys: list[Keys] = []
        self._scaled: list[Mask] = []
        self._outputs: list[list[Array]] = []
        self._rows = 0

    def add(self, keys: Keys, scaled: Mask, outputs: list[Array]) -> None:
        if len(keys.views):
            self._keys.append(keys)
            self._scaled.append(scaled)
            self._outputs.append(outputs)
            self._rows += len(keys.views)
        if self._rows >= self._segment_rows:
            self.flush()

    def flush(self) -> None:
        if not self._rows:
            return
        keys = Keys(*map(np.concatenate, zip(*self._keys, strict=True)))
        taps = [np.concatenate(vectors).astype(np.float32, copy=False) for vectors in zip(*self._outputs, strict=True)]
        scaled = np.concatenate(self._scaled)
        self._keys, self._scaled, self._outputs, self._rows = [], [], [], 0
        for mask, collections in self._recipe.by_collections(keys, scaled):
            selected = keys.take(mask)
            for collection, description, vectors in zip(collections, self._recipe.descriptions(), taps, strict=True):
                self._store.write(collection, description, selected, vectors[mask])
