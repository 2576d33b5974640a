"""The training images: image number i of a seed is always the same, however many processes draw."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt

from starter.appearance import paint
from starter.fractals import FractalGenerator
from starter.glyphs import GlyphGenerator, find_faces
from starter.shapes import ShapeGenerator
from starter.strokes import StrokeGenerator
from starter.textures import TextureGenerator
from starter.warp import SIDE
from tasks.common.progress import track

CHUNK = 500
SHARES = {"glyphs": 0.35, "strokes": 0.25, "fractals": 0.20, "shapes": 0.05, "textures": 0.15}
"""The fraction of the training images that each generator draws."""

Chunk = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]


class ClassGenerator(Protocol):
    """A family of classes and how to draw a sample of one."""

    name: str
    classes: tuple[str, ...]

    def draw(self, class_index: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Draw a mask of the class with this number, uint8 [SIDE, SIDE]."""


def all_generators() -> tuple[ClassGenerator, ...]:
    """Return the five generators, in the order of their classes in the softmax.

    Raises:
        GraftError: Font files are missing; the message names the Debian packages to install.
    """
    return (GlyphGenerator(find_faces()), StrokeGenerator(), FractalGenerator(), ShapeGenerator(), TextureGenerator())


def class_names(generators: tuple[ClassGenerator, ...]) -> tuple[str, ...]:
    """Return the name of every class as 'generator: class', in the order of the class indexes."""
    return tuple(f"{generator.name}: {name}" for generator in generators for name in generator.classes)


def draw_image(generators: tuple[ClassGenerator, ...], seed: int, index: int) -> tuple[npt.NDArray[np.uint8], int]:
    """Draw training image number `index` of a seed.

    Returns:
        The image, uint8 [SIDE, SIDE, 3], and its class index, a position in `class_names(generators)`.
    """
    rng = np.random.default_rng((seed, index))
    shares = np.array([SHARES[generator.name] for generator in generators])
    position = int(rng.choice(len(generators), p=shares / shares.sum()))
    generator = generators[position]
    class_index = int(rng.integers(len(generator.classes)))
    image = paint(generator.draw(class_index, rng), rng)
    return image, class_index + sum(len(earlier.classes) for earlier in generators[:position])


def draw_images(generators: tuple[ClassGenerator, ...], count: int, seed: int, processes: int = 1) -> Chunk:
    """Draw images 0..count-1 of a seed in several processes and show the progress.

    Returns:
        The images, uint8 [count, SIDE, SIDE, 3], which take 12 kB of memory each, and the class indexes, int32 [count].
    """
    images = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    class_indexes = np.empty(count, dtype=np.int32)
    ranges = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_start_worker, initargs=(generators, seed)) as pool:
        chunks = zip(ranges, pool.map(_draw_chunk, ranges), strict=True)
        for indexes, chunk in track(chunks, count, "drawing images", size=lambda item: len(item[0])):
            images[indexes.start : indexes.stop], class_indexes[indexes.start : indexes.stop] = chunk
    return images, class_indexes


_worker_generators: tuple[ClassGenerator, ...] = ()
_worker_seed = 0


def _start_worker(generators: tuple[ClassGenerator, ...], seed: int) -> None:
    # A worker process keeps its generators in a global, because they cache the glyphs and strokes that they prepared.
    global _worker_generators, _worker_seed
    _worker_generators, _worker_seed = generators, seed


def _draw_chunk(indexes: range) -> Chunk:
    images, class_indexes = zip(
        *(draw_image(_worker_generators, _worker_seed, index) for index in indexes), strict=True
    )
    return np.stack(images), np.array(class_indexes, dtype=np.int32)
