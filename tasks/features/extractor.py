"""Images in, vectors out, every core busy: each worker decodes, resizes and runs the base over a batch of its own.

Decoding and the forward pass share the cores, so neither has threads that wait for the other: a worker that finished
one batch starts the next. Batches end in the order in which they were given.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.common.errors import ImageError
from tasks.common.threads import ordered_map
from tasks.features.runtimes import Forward
from tasks.images import decoding
from tasks.images.augmentation import AugmentationSpec, make_view
from tasks.onnx.sessions import Array, Session


class Item(NamedTuple):
    """One vector to compute: the file below the images' folder, its SHA-256 in hex, the number of its view."""

    path: str
    sha256: str
    view: int


class Augmentation(NamedTuple):
    """How views beyond the plain one are made."""

    spec: AugmentationSpec
    seed: int


@dataclass(frozen=True, eq=False)
class Batch:
    """What came of `done` items: those that have vectors, these, float32 [n, D] for each tap, and refused images."""

    done: int
    items: list[Item]
    vectors: list[Array]
    refused: dict[str, str]

    def __len__(self) -> int:
        """Return how many items were dealt with."""
        return self.done


class Engine(NamedTuple):
    """The parts that turn items into vectors; each may be called from several threads at once."""

    root: Path
    resize: Session
    forward: Forward
    augmentation: Augmentation

    def run(self, items: Sequence[Item], batch_size: int, workers: int) -> Iterator[Batch]:
        """Yield what comes of `items`, `batch_size` a pass, from `workers` threads, two batches a thread in flight.

        An image that vanished, changed since the scan or is damaged is refused with its reason.
        """
        batches = (items[start : start + batch_size] for start in range(0, len(items), batch_size))
        return ordered_map(self._batch, batches, workers, ahead=2 * workers)

    def _batch(self, items: Sequence[Item]) -> Batch:
        able, ready, refused = [], [], dict[str, str]()
        for item, pixels in self._decoded(items):
            if isinstance(pixels, str):
                refused[item.path] = pixels
                continue
            seen = make_view(pixels, item.sha256, item.view, self.augmentation.seed, self.augmentation.spec)
            ready.append(self.resize(seen[None])[0])
            able.append(item)
        return Batch(len(items), able, self.forward(np.stack(ready)) if ready else [], refused)

    def _decoded(self, items: Sequence[Item]) -> Iterator[tuple[Item, decoding.Pixels | str]]:
        """Yield each item with its pixels, or with the reason why it has none; views of an image share its decoding."""
        last: str | None = None
        pixels: decoding.Pixels | str = ""
        for item in items:
            if item.path != last:
                last, pixels = item.path, self._read(item)
            yield item, pixels

    def _read(self, item: Item) -> decoding.Pixels | str:
        try:
            content = (self.root / item.path).read_bytes()
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        if hashlib.sha256(content).hexdigest() != item.sha256:
            return "changed since it was scanned"
        try:
            return decoding.decode(content, max_megapixels=np.inf)[0]
        except ImageError as error:
            return str(error)
