"""What identifies a feature vector: the space that it lies in, the image and the view that it is of."""

import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Digests = npt.NDArray[np.uint8]
Views = npt.NDArray[np.uint16]
Vectors = npt.NDArray[np.float32]

DIGEST_BYTES = 32


class Collection(NamedTuple):
    """All that a vector depends on besides its image and its view.

    `preprocessing` and `graph` are the SHA-256 of the resize graph and of the graph up to the tap, `augmentation` that
    of its spec and seed ('' for plain images), all in hex; `runtime` is as 'onnxruntime 1.32.0', `precision` as
    'float32', `width` the length of a vector.
    """

    preprocessing: str
    graph: str
    augmentation: str
    runtime: str
    precision: str
    width: int

    @property
    def id(self) -> str:
        """SHA-256, in hex, of what the space says; the name of its folder."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()


class Description(NamedTuple):
    """What people are shown of a space; no part of its identity."""

    backbone: str
    tap: str


Named = TypeVar("Named", Collection, Description)


class Keys(NamedTuple):
    """What some vectors are of: the SHA-256 of images, uint8 [n, 32], and numbers of their views, uint16 [n].

    View 0 is the plain image.
    """

    images: Digests
    views: Views

    def check(self) -> None:
        """Raise ValueError unless the two arrays have those types and shapes."""
        images, views = self
        shapes = images.shape == (*views.shape, DIGEST_BYTES) and views.ndim == 1
        if not (shapes and images.dtype == np.uint8 and views.dtype == np.uint16):
            found = f"{images.dtype} {list(images.shape)} and {views.dtype} {list(views.shape)}"
            message = f"expected uint8 [n, 32] and uint16 [n], found {found}"
            raise ValueError(message)


def digests(hexes: Iterable[str]) -> Digests:
    """Return SHA-256 digests in hex as uint8 [n, 32]."""
    return np.frombuffer(bytes.fromhex("".join(hexes)), np.uint8).reshape(-1, DIGEST_BYTES)


def to_json(value: Collection | Description) -> str:
    """Return the one JSON text of a space or a label."""
    return json.dumps(value._asdict(), sort_keys=True, separators=(",", ":"))


def from_json(kind: type[Named], text: bytes | None) -> Named | None:
    """Return the space or the label that a text from elsewhere says; None where it says no such thing."""
    try:
        values = json.loads(text or b"")
        fits = {name: type(value) for name, value in values.items()} == kind.__annotations__
        return kind(**values) if fits else None
    except (ValueError, AttributeError, RecursionError):
        return None
