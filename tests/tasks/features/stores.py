"""Keys, vectors and stores that the tests of the feature store share."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tasks.features.store import Store
from tasks.features.store.collection import Collection, Description, Digests, Keys, Vectors, Views
from tasks.features.store.segment import encode

ROOT = Path(__file__).parents[3]  # not from conftest: it imports what takes a writer's process a second
SPACE = Collection("1" * 64, "2" * 64, "", "onnxruntime 1.32.0", "float32", 5)
LABEL = Description("mobilenet", "conv_pw_13_relu")


def keys(count: int, seed: int = 0) -> Keys:
    """Return that many different keys; fewer of the same seed are the first of them."""
    rows = np.random.default_rng(seed).integers(0, 256, (count, 33), np.uint8)
    return Keys(np.ascontiguousarray(rows[:, :32]), rows[:, 32].astype(np.uint16) % 3)


def truth(images: Digests, views: Views, width: int = SPACE.width) -> Vectors:
    """Return the vectors that these tests keep under those keys, float32 [n, width]."""
    return (images[:, np.arange(width) % 32] + 1000.0 * views[:, None] + 0.1).astype(np.float32)


def fill(store: Store, *segments: Keys, space: Collection = SPACE, label: Description = LABEL) -> list[Path]:
    """Write a segment for each of those keys and return their files."""
    for one in segments:
        store.write(space, label, *one, truth(*one, space.width))
    return [Path(store.place.path(space.id, segment(one, space, label)[0])) for one in segments]


def segment(one: Keys, space: Collection = SPACE, label: Description = LABEL) -> tuple[str, bytes]:
    """Return the name and the bytes of the segment of those keys."""
    name, content = encode(space, label, one, truth(*one, space.width))
    return name, content.to_pybytes()


def holds(store: Store, wanted: Keys, space: Collection = SPACE) -> list[bool]:
    """Tell which keys the store holds, after reading them: each must come right or not at all."""
    index = store.index(space)
    before = index.missing(*wanted)
    vectors, missing = index.read(*wanted)
    expected = truth(*wanted, space.width)
    expected[missing] = 0
    np.testing.assert_array_equal(vectors, expected)
    np.testing.assert_array_equal(index.missing(*wanted), missing)
    assert not (before & ~missing).any()
    return (~missing).tolist()


def start(script: str, *words: object) -> subprocess.Popen[str]:
    """Start a Python process."""
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Files:
    """A file system of which some methods are replaced."""

    def __init__(self, files: Any, **methods: Any) -> None:
        """Take the file system and what replaces its methods."""
        self._files, self._methods = files, methods

    def __getattr__(self, name: str) -> Any:
        """Return what replaces a method, or the method."""
        return self._methods.get(name) or getattr(self._files, name)
