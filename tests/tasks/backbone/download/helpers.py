"""Helpers that the tests of downloads share."""

import hashlib
from pathlib import Path

import pytest

from tasks.backbone.download.cache import fetch
from tasks.common.errors import GraftError

NAME = "base_notop.h5"
PATH = f"/keras/{NAME}"


def md5(content: bytes) -> str:
    """Return the MD5 of these bytes."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    """Return the SHA-256 of these bytes."""
    return hashlib.sha256(content).hexdigest()


def remedy(path: Path) -> str:
    """Return the advice that ends an error about a file that cannot be downloaded."""
    return (
        f"Put the file there by hand as {path}, set GRAFT_MIRROR to a host that has it, "
        "or set backbone.weights to starter, which works offline."
    )


def list_files(folder: Path) -> set[str]:
    """Return the names in a folder, without the locks, which stay."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"} if folder.exists() else set()


def fetch_error(error: type[GraftError], url: str, digest: str | None) -> str:
    """Return the text of the error, of exactly this type, that `fetch` raises."""
    with pytest.raises(GraftError) as caught:
        fetch(url, NAME, digest)
    assert type(caught.value) is error
    return str(caught.value)
