"""Many images through a network, every core busy: each worker reads, decodes, prepares and runs a batch of its own.

Decoding and the forward pass share the cores, so neither has threads that wait for the other: a worker that finished
one batch starts the next. Resized pixels that the feature store has are used instead of the files, as its vectors are:
both stand for the bytes whose SHA-256 the manifest gives, so a file that changed since is not noticed then.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.common.errors import GraftError, ImageError
from tasks.common.threads import available_cores, ordered_map
from tasks.images.decoding import Pixels, decode
from tasks.images.memory import PixelBudget, decoded_pixels
from tasks.images.preprocessing import Mask
from tasks.images.resized import ResizedPixels, Row, from_row, to_row
from tasks.store import DIGEST_BYTES, Keys

Array = npt.NDArray[Any]

# Photographs of 12 megapixels are decoded on all cores at once, and of those of 48 megapixels one for four cores.
BUDGET = PixelBudget(max(64_000_000, 16_000_000 * available_cores()))


class Item(NamedTuple):
    """One input of the network: a file below the images' folder, its SHA-256 in hex, and the number of its view.

    An empty `sha256` is not checked. A `scaled` item may be decoded at a reduced scale.
    """

    path: str
    sha256: str = ""
    view: int = 0
    scaled: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """The result of `size` items.

    `items` are those that could be used, `outputs` the network's outputs for them, [n, ...] each, and `refused` the
    reasons by path for the others.
    """

    size: int
    items: list[Item]
    outputs: list[Array]
    refused: dict[str, str]

    def __len__(self) -> int:
        """Return the number of items, used and refused."""
        return self.size


class Inference(NamedTuple):
    """The functions that turn items into outputs; both are called from several threads at once.

    `prepare` turns the pixels of an item, uint8 [H, W, 3], into its row of the batch. `forward` turns a batch,
    [n, ...], into outputs, [n, ...] each. Sides of scaled items keep at least `min_side` pixels; all items are decoded
    exactly if it is None. With `resized`, which every item must have a SHA-256 for, `prepare` returns resized pixels.
    """

    root: Path
    prepare: Callable[[Pixels, Item], Array]
    forward: Callable[[Array], list[Array]]
    min_side: int | None = None
    resized: ResizedPixels | None = None

    def run(self, items: Sequence[Item], batch_size: int, workers: int) -> Iterator[Batch]:
        """Yield the batches of `items` in order, `batch_size` items each, from `workers` threads.

        An image that vanished, changed since it was scanned, or is damaged is refused with its reason. Two batches a
        worker are in flight at most, so memory stays flat. Raises GraftError when the store cannot be used.
        """
        batches = (items[start : start + batch_size] for start in range(0, len(items), batch_size))
        # The store is read and written in the caller's thread, in the order of the items.
        with_stored = ((batch, self._find(batch)) for batch in batches)
        for batch, fresh in ordered_map(self._run_batch, with_stored, workers, ahead=2 * workers):
            if self.resized and fresh:
                kept = [item for item, _ in fresh]
                self.resized.keep(_keys(kept), _scaled(kept), [row for _, row in fresh])
            yield batch
        if self.resized:
            self.resized.flush()

    def _find(self, items: Sequence[Item]) -> list[Row | None]:
        return self.resized.find(_keys(items), _scaled(items)) if self.resized else [None] * len(items)

    def _run_batch(self, work: tuple[Sequence[Item], list[Row | None]]) -> tuple[Batch, list[tuple[Item, Row]]]:
        """Return the result of a batch, and the rows that the store is to keep."""
        items, stored = work
        usable, rows, refused, fresh = list[Item](), list[Array](), dict[str, str](), list[tuple[Item, Row]]()
        # The views of an image follow each other and share its decoding.
        for (path, _, _), group in groupby(zip(items, stored, strict=True), key=lambda pair: _file(pair[0])):
            views = list(group)
            try:
                rows += self._prepare(views, fresh)
            except ImageError as error:
                refused[path] = str(error)
                continue
            usable += [item for item, _ in views]
        return Batch(len(items), usable, self.forward(np.stack(rows)) if rows else [], refused), fresh

    def _prepare(self, views: list[tuple[Item, Row | None]], fresh: list[tuple[Item, Row]]) -> list[Array]:
        """Return the rows of the views of one image; those that the store lacks and should keep go to `fresh`.

        Raises ImageError when the image must be decoded and cannot be used.
        """
        lacking = [item for item, row in views if row is None]
        decoded = self._decode(lacking, fresh) if lacking else {}
        return [decoded[item] if row is None else from_row(row) for item, row in views]

    def _decode(self, views: list[Item], fresh: list[tuple[Item, Row]]) -> dict[Item, Array]:
        """Return the rows of views of one image from its file; raises ImageError when it cannot be used."""
        content = _read(self.root / views[0].path, views[0].sha256)
        min_side = self.min_side if views[0].scaled else None
        with BUDGET.reserve(decoded_pixels(content, min_side)):
            # The scan has refused images with too many pixels.
            image = decode(content, np.inf, min_side)
            rows = {item: self.prepare(image.pixels, item) for item in views}
        if self.resized and self.resized.is_expensive(image.width, image.height):
            fresh += [(item, to_row(row)) for item, row in rows.items()]
        return rows


def require_all(batches: Iterable[Batch], root: Path) -> Iterator[Batch]:
    """Yield the batches on; raises GraftError that names the first image below `root` that could not be used."""
    for batch in batches:
        for path, reason in batch.refused.items():
            message = f"{root / path} {reason}. Run `dvc repro` to scan the images again."
            raise GraftError(message)
        yield batch


def _file(item: Item) -> tuple[str, str, bool]:
    return item.path, item.sha256, item.scaled


def _keys(items: Sequence[Item]) -> Keys:
    digests = np.frombuffer(bytes.fromhex("".join(item.sha256 for item in items)), np.uint8)
    return Keys(digests.reshape(-1, DIGEST_BYTES), np.array([item.view for item in items], np.uint16))


def _scaled(items: Sequence[Item]) -> Mask:
    return np.array([item.scaled for item in items], np.bool_)


def _read(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ImageError(message) from error
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        message = "changed since it was scanned"
        raise ImageError(message)
    return content
