"""Many images through a network, every core busy: each worker reads, decodes, prepares and runs a batch of its own.

Decoding and the forward pass share the cores, so neither has threads that wait for the other: a worker that finished
one batch starts the next.
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
from tasks.common.threads import ordered_map
from tasks.images.decoding import Pixels, decode

Array = npt.NDArray[Any]


class Item(NamedTuple):
    """One input of the network: a file below the images' folder, its SHA-256 in hex, and the number of its view.

    An empty `sha256` is not checked.
    """

    path: str
    sha256: str = ""
    view: int = 0


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
    [n, ...], into outputs, [n, ...] each.
    """

    root: Path
    prepare: Callable[[Pixels, Item], Array]
    forward: Callable[[Array], list[Array]]

    def run(self, items: Sequence[Item], batch_size: int, workers: int) -> Iterator[Batch]:
        """Yield the batches of `items` in order, `batch_size` items each, from `workers` threads.

        An image that vanished, changed since it was scanned, or is damaged is refused with its reason. Two batches a
        worker are in flight at most, so memory stays flat.
        """
        batches = (items[start : start + batch_size] for start in range(0, len(items), batch_size))
        return ordered_map(self._run_batch, batches, workers, ahead=2 * workers)

    def _run_batch(self, items: Sequence[Item]) -> Batch:
        usable, rows, refused = list[Item](), list[Array](), dict[str, str]()
        # The views of an image follow each other and share its decoding.
        for (path, sha256), views in groupby(items, key=lambda item: (item.path, item.sha256)):
            try:
                pixels = _read(self.root / path, sha256)
            except ImageError as error:
                refused[path] = str(error)
                continue
            for item in views:
                usable.append(item)
                rows.append(self.prepare(pixels, item))
        return Batch(len(items), usable, self.forward(np.stack(rows)) if rows else [], refused)


def require_all(batches: Iterable[Batch], root: Path) -> Iterator[Batch]:
    """Yield the batches on; raises GraftError that names the first image below `root` that could not be used."""
    for batch in batches:
        for path, reason in batch.refused.items():
            message = f"{root / path} {reason}. Run `dvc repro` to scan the images again."
            raise GraftError(message)
        yield batch


def _read(path: Path, sha256: str) -> Pixels:
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ImageError(message) from error
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        message = "changed since it was scanned"
        raise ImageError(message)
    # The scan has refused images with too many pixels.
    return decode(content, max_megapixels=np.inf)[0]
