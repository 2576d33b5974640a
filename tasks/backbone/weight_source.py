"""Weight files of a base: the bundled starter, ImageNet's, a URL, a path, or none."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tasks.backbone.download.cache import fetch
from tasks.backbone.registry import Architecture, find_imagenet_file, resolve_size
from tasks.common.errors import GraftError
from tasks.common.hashing import hash_file
from tasks.common.params import Backbone

STARTER = Path(__file__).with_name("mobilenet_0.25_64.weights.h5")
STARTER_SIZE = 64
STARTER_ALPHA = 0.25

KEYWORDS = ("starter", "imagenet", "none")
EXTENSIONS = (".h5", ".hdf5")
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class WeightSource(NamedTuple):
    """A weights file (None: random weights), with the input size in pixels and the width multiplier that it is for.

    `imagenet` is true for exactly the files that keras.applications published.
    """

    name: str
    path: Path | None
    input_size: int
    alpha: float | None
    imagenet: bool = False


def find_weights(architecture: Architecture, params: Backbone) -> WeightSource:
    """Return the weights that params.yaml asks for, downloaded if necessary.

    Raises:
        GraftError: there are no such weights, they cannot be downloaded, or they do not have the expected hash.
    """
    if params.weights == "starter":
        return _find_starter(architecture, params)
    size, alpha = resolve_size(architecture, params.input_size, params.alpha)
    if params.weights == "imagenet":
        return _find_imagenet(architecture, params, size, alpha)
    path = find_explicit_weights(params.weights, params.sha256)
    if path is None:
        return WeightSource("none", None, size, alpha)
    digests = architecture.hash if params.include_top else architecture.hash_no_top
    return WeightSource(path.name, path, size, alpha, imagenet=_has_digest(path, digests.get(alpha)))


def find_explicit_weights(weights: str, sha256: str | None) -> Path | None:
    """Return the file that `weights` names, a path or an https URL, after checking its SHA-256; None for `none`.

    Raises:
        GraftError: there is no such file, or it does not have this SHA-256; the message says what to set.
    """
    if weights == "none":
        return None
    if "://" in weights:
        return _download(weights, sha256)
    path = Path(weights)
    if not path.is_file():
        message = (
            f"backbone.weights is '{weights}'; expected {', '.join(KEYWORDS)}, an https URL, or an existing .h5 file."
        )
        raise GraftError(message)
    if path.suffix not in EXTENSIONS:
        message = f"backbone.weights is '{weights}'; expected Keras weights in HDF5 (.h5), no other format."
        raise GraftError(message)
    actual = hash_file(path)
    if sha256 is None:
        message = (
            f"backbone.weights is the file '{weights}', and a file is held to its hash, so that another one re-runs "
            f"the stage. Set backbone.sha256 to {actual}."
        )
        raise GraftError(message)
    if actual != sha256:
        message = (
            f"backbone.sha256 is {sha256}, but '{weights}' has {actual}. Restore the file, or set backbone.sha256 "
            "to that if the change is wanted."
        )
        raise GraftError(message)
    return path


def _download(url: str, sha256: str | None) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        message = f"backbone.weights is '{url}'; expected an https URL."
        raise GraftError(message)
    name = parts.path.rsplit("/", 1)[-1]
    if not name.endswith(EXTENSIONS):
        message = f"backbone.weights is '{url}'; expected the URL of a .h5 file."
        raise GraftError(message)
    if sha256 is None:
        message = "backbone.weights is a URL; set backbone.sha256 to the file's SHA-256, as its publisher states it."
        raise GraftError(message)
    # Different files on two hosts may have the same name.
    return fetch(url, f"{sha256[:12]}_{name}", sha256)


def _find_imagenet(architecture: Architecture, params: Backbone, size: int, alpha: float | None) -> WeightSource:
    if params.include_top and size != architecture.input_size and size not in architecture.sizes:
        sizes = ", ".join(map(str, architecture.sizes or (architecture.input_size,)))
        message = (
            f"{architecture.name} with its ImageNet top takes images of {sizes} pixels; backbone.input_size is {size}."
        )
        raise GraftError(message)
    file = find_imagenet_file(architecture, alpha, size, include_top=params.include_top)
    path = fetch(file.url, file.name, file.digest, HDF5_SIGNATURE)
    if params.sha256 is not None and not _has_digest(path, params.sha256):
        message = f"{path} does not have the SHA-256 in backbone.sha256. Set it to null, or to the hash of that file."
        raise GraftError(message)
    return WeightSource("imagenet", path, size, alpha, imagenet=True)


def _find_starter(architecture: Architecture, params: Backbone) -> WeightSource:
    alpha = params.alpha or STARTER_ALPHA
    if (architecture.name, alpha) != ("MobileNet", STARTER_ALPHA) or params.include_top:
        network = architecture.name if architecture.name != "MobileNet" else f"MobileNet with alpha {alpha:g}"
        message = (
            f"the starter weights are for MobileNet with alpha {STARTER_ALPHA} without its top; found {network}"
            f"{' with it' if params.include_top else ''}. Set backbone.weights to imagenet, none, a URL or a file."
        )
        raise GraftError(message)
    return WeightSource("starter", STARTER, params.input_size or STARTER_SIZE, alpha)


def _has_digest(path: Path, digest: str | None) -> bool:
    return digest is not None and hash_file(path, digest) == digest
