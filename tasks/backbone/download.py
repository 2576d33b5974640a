"""ImageNet weights: from the cache or by download, whole and checked or not there at all."""

import hashlib
import os
from pathlib import Path

import httpx

from tasks.backbone.registry import Architecture
from tasks.common.errors import DownloadError, GraftError
from tasks.common.files import atomic
from tasks.common.progress import say, track

HOST = "https://storage.googleapis.com/tensorflow/keras-applications"
ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
CHUNK = 1 << 20
TIMEOUT = httpx.Timeout(60, connect=15)


def cache_folder() -> Path:
    """Return where downloaded weights are kept: GRAFT_CACHE, or `graft` in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GRAFT_CACHE") or Path(home) / "graft") / "weights"


def imagenet(row: Architecture, alpha: float | None, mirror: str | None) -> Path:
    """Return the file with the ImageNet weights of that row, without its top; download it if it is not in the cache.

    Raises GraftError when there are no such weights, DownloadError when they cannot be had now.
    """
    if alpha is not None and alpha not in ALPHAS:
        message = f"MobileNet has ImageNet weights for alpha {', '.join(map(str, ALPHAS))}; found {alpha:g}."
        raise GraftError(message)
    relative = row.file.format(alpha=ALPHAS[alpha]) if alpha is not None else row.file
    path = cache_folder() / Path(relative).name
    if not _intact(path, row.md5):
        fetch(f"{(mirror or HOST).rstrip('/')}/{relative}", path, row.md5)
    return path


def _intact(path: Path, md5: str | None) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return md5 is None or hashlib.file_digest(file, "md5").hexdigest() == md5


def fetch(url: str, path: Path, md5: str | None) -> None:
    """Download `url` to `path` over a temporary name; raises DownloadError, which says what to do without network."""
    by_hand = f"Put the file there by hand as {path}, or set backbone.weights to starter, which works offline."
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with atomic(path) as temporary, httpx.stream("GET", url, timeout=TIMEOUT, follow_redirects=True) as response:
            response.raise_for_status()
            expected = int(response.headers.get("Content-Length", 0))
            say(f"backbone: downloading {url} ({expected / 1e6:,.1f} MB)")
            with temporary.open("wb") as file:
                chunks = -(-expected // CHUNK)
                for chunk in track(response.iter_bytes(CHUNK), chunks, "backbone: download", "MiB"):
                    file.write(chunk)
                    digest.update(chunk)
            if md5 is not None and digest.hexdigest() != md5:
                message = f"{url} arrived damaged: expected MD5 {md5}, found {digest.hexdigest()}. {by_hand}"
                raise DownloadError(message)
    except httpx.InvalidURL as error:
        message = f"backbone.mirror makes the URL {url}, which is not valid: {error}."
        raise GraftError(message) from error
    except httpx.HTTPError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"cannot download {url}: {reason}. {by_hand}"
        raise DownloadError(message) from error
