"""Where a base's weights come from."""

import hashlib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tasks.backbone.download.cache import fetch
from tasks.backbone.registry import Architecture, imagenet_file, sized
from tasks.common.errors import GraftError
from tasks.common.params import Backbone

STARTER = Path(__file__).with_name("mobilenet_0.25_64.weights.h5")
STARTER_SIZE = 64
STARTER_ALPHA = 0.25

WORDS = ("starter", "imagenet", "none")
SIGNATURE = b"\x89HDF\r\n\x1a\n"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Source(NamedTuple):
    """Weights by name and file (None: random), with the input size in pixels and the width multiplier they are for.

    `imagenet`: they are the very ones that keras.applications published.
    """

    name: str
    path: Path | None
    input_size: int
    alpha: float | None
    imagenet: bool = False


def find(row: Architecture, params: Backbone) -> Source:
    """Return the weights that params.yaml asks for, downloaded if need be; raises GraftError if they cannot be had."""
    if params.weights == "starter":
        return _starter(row, params)
    size, alpha = sized(row, params.input_size, params.alpha)
    if params.weights == "imagenet":
        return _imagenet(row, params, size, alpha)
    path = given(params.weights, params.sha256)
    if path is None:
        return Source("none", None, size, alpha)
    hashes = row.hash if params.include_top else row.hash_no_top
    return Source(path.name, path, size, alpha, imagenet=_is(path, hashes.get(alpha)))


def given(weights: str, sha256: str | None) -> Path | None:
    """Return the file that `weights` names, a path or an https URL, held to its SHA-256; None for `none`.

    Raises GraftError that says what `backbone.sha256` is to be.
    """
    if weights == "none":
        return None
    if "://" in weights:
        return _downloaded(weights, sha256)
    path = Path(weights)
    expected = f"backbone.weights is '{weights}'; expected "
    if not path.is_file():
        raise GraftError(expected + f"{', '.join(WORDS)}, an https URL, or an existing .h5 file.")
    if path.suffix not in {".h5", ".hdf5"}:
        raise GraftError(expected + "Keras weights in HDF5 (.h5), no other format.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is None:
        message = (
            f"backbone.weights is the file '{weights}', and a file is held to its hash, so that another one re-runs "
            f"the stage. Set backbone.sha256 to {found}."
        )
        raise GraftError(message)
    if found != sha256:
        message = (
            f"backbone.sha256 is {sha256}, but '{weights}' has {found}. Restore the file, or set backbone.sha256 "
            "to that if the change is wanted."
        )
        raise GraftError(message)
    return path


def _downloaded(url: str, sha256: str | None) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        message = f"backbone.weights is '{url}'; expected an https URL."
        raise GraftError(message)
    name = parts.path.rsplit("/", 1)[-1]
    if not name.endswith((".h5", ".hdf5")):
        message = f"backbone.weights is '{url}'; expected the URL of a .h5 file."
        raise GraftError(message)
    if sha256 is None:
        message = "backbone.weights is a URL; set backbone.sha256 to the file's SHA-256, as its publisher states it."
        raise GraftError(message)
    # Two hosts may call different files alike.
    return fetch(url, f"{sha256[:12]}_{name}", sha256)


def _imagenet(row: Architecture, params: Backbone, size: int, alpha: float | None) -> Source:
    if params.include_top and size != row.input_size and size not in row.sizes:
        sizes = ", ".join(map(str, row.sizes or (row.input_size,)))
        message = f"{row.name} with its ImageNet top takes images of {sizes} pixels; backbone.input_size is {size}."
        raise GraftError(message)
    file = imagenet_file(row, alpha, size, include_top=params.include_top)
    path = fetch(*file, begins=SIGNATURE)
    if params.sha256 is not None and not _is(path, params.sha256):
        message = f"{path} does not have the SHA-256 in backbone.sha256. Set it to null, or to the hash of that file."
        raise GraftError(message)
    return Source("imagenet", path, size, alpha, imagenet=True)


def _starter(row: Architecture, params: Backbone) -> Source:
    alpha = params.alpha or STARTER_ALPHA
    if (row.name, alpha) != ("MobileNet", STARTER_ALPHA) or params.include_top:
        found = row.name if row.name != "MobileNet" else f"MobileNet with alpha {alpha:g}"
        message = (
            f"the starter weights are for MobileNet with alpha {STARTER_ALPHA} without its top; found {found}"
            f"{' with it' if params.include_top else ''}. Set backbone.weights to imagenet, none, a URL or a file."
        )
        raise GraftError(message)
    return Source("starter", STARTER, params.input_size or STARTER_SIZE, alpha)


def _is(path: Path, digest: str | None) -> bool:
    """Tell whether the file has that MD5 or SHA-256."""
    if digest is None:
        return False
    algorithm = "md5" if len(digest) == 32 else "sha256"  # noqa: PLR2004  hexadecimal digits
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == digest
