"""Keys, vectors and stores that the tests of the feature store share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.store import Collection, Description, Keys, Store
from tasks.store.collection import Vectors
from tasks.store.segment import encode

ROOT = Path(__file__).parents[3]  # not from conftest: it imports libraries that take a writer's process a second
COLLECTION = Collection("1" * 64, "2" * 64, "", "onnxruntime 1.32.0", "float32", 5)
DESCRIPTION = Description("mobilenet", "conv_pw_13_relu")


def make_keys(count: int, seed: int = 0) -> Keys:
    """Return that many different keys; fewer of the same seed are the first of them."""
    rows = np.random.default_rng(seed).integers(0, 256, (count, 33), np.uint8)
    return Keys(np.ascontiguousarray(rows[:, :32]), rows[:, 32].astype(np.uint16) % 3)


def concatenated(*parts: Keys) -> Keys:
    """Return all of those keys."""
    return Keys(np.concatenate([keys.images for keys in parts]), np.concatenate([keys.views for keys in parts]))


def vectors_of(keys: Keys, width: int = COLLECTION.width) -> Vectors:
    """Return the vectors that these tests keep under those keys, float32 [n, width]."""
    return (keys.images[:, np.arange(width) % 32] + 1000.0 * keys.views[:, None] + 0.1).astype(np.float32)


def segment(
    keys: Keys, collection: Collection = COLLECTION, description: Description = DESCRIPTION
) -> tuple[str, bytes]:
    """Return the name and the bytes of the segment of those keys."""
    return encode(collection, description, keys, vectors_of(keys, collection.width))


def fill(
    store: Store, *parts: Keys, collection: Collection = COLLECTION, description: Description = DESCRIPTION
) -> list[Path]:
    """Write a segment for each of those keys and return their files, where the store is a folder."""
    for keys in parts:
        store.write(collection, description, keys, vectors_of(keys, collection.width))
    return [Path(store.name, collection.id, segment(keys, collection, description)[0]) for keys in parts]


def stored(store: Store, keys: Keys, collection: Collection = COLLECTION) -> list[bool]:
    """Tell which keys the store has, after reading them: each vector must come back right or not at all."""
    index = store.index(collection)
    missing_before = index.missing(keys)
    vectors, missing = index.read(keys)
    expected = vectors_of(keys, collection.width)
    expected[missing] = 0
    np.testing.assert_array_equal(vectors, expected)
    np.testing.assert_array_equal(index.missing(keys), missing)
    assert not (missing_before & ~missing).any()
    return [not is_missing for is_missing in missing.tolist()]


def error_of(function: Callable[..., object], *arguments: object) -> str:
    """Return the text of the error that a call ends in: one line."""
    with pytest.raises(GraftError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
