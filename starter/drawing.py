"""The training images: image number i of a seed is always the same, however many processes make them."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np

from starter.appearance import paint
from starter.fractals import FractalWorld
from starter.glyphs import GlyphWorld, find_faces
from starter.shapes import ShapeWorld
from starter.strokes import StrokeWorld
from starter.textures import TextureWorld
from starter.warp import SIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_CHUNK = 500


class World(Protocol):
    """A family of classes and how to draw one."""

    name: str
    classes: tuple[str, ...]

    def draw(self, label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw a mask of the class, uint8 [SIDE, SIDE]."""


SHARES = {"glyphs": 0.35, "strokes": 0.25, "fractals": 0.20, "shapes": 0.05, "textures": 0.15}
"""The part of the training images that each world gets."""


def all_worlds() -> tuple[World, ...]:
    """Return the five worlds, in the order of their classes in the softmax; GraftError when fonts are missing."""
    return (GlyphWorld(find_faces()), StrokeWorld(), FractalWorld(), ShapeWorld(), TextureWorld())


def class_names(worlds: tuple[World, ...]) -> tuple[str, ...]:
    """Return every class as 'world: class', in label order."""
    return tuple(f"{world.name}: {name}" for world in worlds for name in world.classes)


def draw_image(worlds: tuple[World, ...], seed: int, index: int) -> tuple[NDArray[np.uint8], int]:
    """Draw training image number `index` of a seed: the picture, uint8 [SIDE, SIDE, 3], and its label."""
    rng = np.random.default_rng((seed, index))
    shares = np.array([SHARES[world.name] for world in worlds])
    chosen = int(rng.choice(len(worlds), p=shares / shares.sum()))
    label = int(rng.integers(len(worlds[chosen].classes)))
    picture = paint(worlds[chosen].draw(label, rng), rng)
    return picture, label + sum(len(world.classes) for world in worlds[:chosen])


def draw_images(
    count: int, seed: int, processes: int = 1, advance: Callable[[int], None] = lambda _: None
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Draw images 0..count-1 of a seed in all worlds, spread over processes.

    Returns pictures, uint8 [count, SIDE, SIDE, 3], and labels, int32 [count]. `advance` is called with the number of
    images just finished. Memory: 12 kB an image. Raises GraftError when fonts are missing.
    """
    find_faces()  # here rather than first in a child process, so that the error is one line
    pictures = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int32)
    starts = range(0, count, _CHUNK)
    jobs = [(seed, start, min(start + _CHUNK, count)) for start in starts]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start_worker) as pool:
        for (_, start, stop), (some, some_labels) in zip(jobs, pool.map(_draw_chunk, jobs), strict=True):
            pictures[start:stop], labels[start:stop] = some, some_labels
            advance(stop - start)
    return pictures, labels


_worker_worlds: tuple[World, ...] = ()


def _start_worker() -> None:
    global _worker_worlds  # noqa: PLW0603 - a pool's worker can be given its tables in no other way
    _worker_worlds = all_worlds()


def _draw_chunk(job: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    seed, start, stop = job
    drawn = [draw_image(_worker_worlds, seed, index) for index in range(start, stop)]
    return np.stack([picture for picture, _ in drawn]), np.array([label for _, label in drawn], dtype=np.int32)
