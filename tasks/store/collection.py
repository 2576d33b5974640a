"""The identity of a vector or of resized pixels: the collection, the SHA-256 of the image and the view's number."""

import hashlib
import json
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Digests = npt.NDArray[np.uint8]
Views = npt.NDArray[np.uint16]
Vectors = npt.NDArray[np.float32]
Values = npt.NDArray[Any]
"""Rows of a collection: float32 vectors, or uint8 pixels."""

DIGEST_BYTES = 32
PIXELS = "uint8"


class Collection(NamedTuple):
    """Everything that a vector, or a row of resized pixels, depends on besides its image and its view.

    `preprocessing` and `graph` are the SHA-256 of decoding with resizing, and of the graph up to the tap;
    `augmentation` is that of the augmentation and its seed ('' for plain images), all in hex; `runtime` is a name and a
    version such as 'onnxruntime 1.32.0', `precision` is a word such as 'float32', `width` is the length of a row. In a
    collection of pixels, `precision` is PIXELS and `graph` says how pixels become the bytes of a row.
    """

    preprocessing: str
    graph: str
    augmentation: str
    runtime: str
    precision: str
    width: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the rows: uint8 for pixels, float32 for vectors of every precision."""
        return np.dtype(np.uint8 if self.precision == PIXELS else np.float32)

    @property
    def id(self) -> str:
        """SHA-256, in hex, of the collection's JSON; the name of its folder."""
        return hashlib.sha256(_canonical(self._asdict()).encode()).hexdigest()


class Description(NamedTuple):
    """The names by which people know a collection; they are no part of its identity."""

    backbone: str
    tap: str


Record = TypeVar("Record", Collection, Description)


class Keys(NamedTuple):
    """Keys of n rows of a collection: the SHA-256 of images, uint8 [n, 32], and numbers of views, uint16 [n].

    View 0 is the plain image.
    """

    images: Digests
    views: Views

    def check(self) -> None:
        """Raise ValueError unless the two arrays have those dtypes and shapes."""
        images, views = self
        shapes_match = images.shape == (*views.shape, DIGEST_BYTES) and views.ndim == 1
        if not (shapes_match and images.dtype == np.uint8 and views.dtype == np.uint16):
            actual = f"{images.dtype} {list(images.shape)} and {views.dtype} {list(views.shape)}"
            message = f"expected uint8 [n, 32] and uint16 [n], found {actual}"
            raise ValueError(message)

    def take(self, selected: npt.NDArray[Any] | slice) -> "Keys":
        """Return the keys at these positions, or where a mask, bool [n], is true."""
        return Keys(self.images[selected], self.views[selected])


def to_json(collection: Collection, description: Description) -> str:
    """Return the canonical JSON of a collection and its description: equal values give equal text."""
    return _canonical({"collection": collection._asdict(), "description": description._asdict()})


def from_json(text: str) -> tuple[Collection, Description]:
    """Return the collection and the description in a text that may come from anywhere.

    Raises:
        ValueError: The text is not JSON, or has other fields or types.
    """
    try:
        document = json.loads(text)
        return _build(Collection, document["collection"]), _build(Description, document["description"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        message = "not the JSON of a collection and its description"
        raise ValueError(message) from error


def _build(kind: type[Record], values: dict[str, Any]) -> Record:
    # Exactly these types: a width of `true` is no number.
    if not isinstance(values, dict) or {name: type(value) for name, value in values.items()} != kind.__annotations__:
        raise TypeError
    return kind(**values)


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
