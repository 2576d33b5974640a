"""Fractals: each class is a random iterated function system, drawn by its attractor.

Kataoka et al. 2020, 'Pre-training without Natural Images', showed that such images teach a network features that
transfer. The maps are drawn by their singular values, as in Anderson and Farrell 2022, 'Improving Fractal
Pre-training', so that every map contracts and a usable system is found soon.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from starter.warp import CANVAS, CONTENT, Warp, warp

GEOMETRY = Warp(rotation=40.0)
CHAINS = 384
STEPS = 20
BURN_IN = 6
MIN_COVER = 0.12
MAX_COVER = 0.75
VARIATION = 0.15


@dataclass(frozen=True)
class System:
    """An iterated function system: affine maps x -> matrix @ x + offset and the probability of each."""

    matrices: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]


class FractalGenerator:
    """Classes that are iterated function systems, the same for the same seed."""

    name = "fractals"

    def __init__(self, classes: int = 100, seed: int = 11) -> None:
        """Draw `classes` systems whose attractor covers 12-75 % of the content box."""
        rng = np.random.default_rng(seed)
        systems: list[System] = []
        while len(systems) < classes:
            system = _random_system(rng)
            cover = float((_attractor(system, rng) > 0).mean()) * (CANVAS / CONTENT) ** 2
            if MIN_COVER < cover < MAX_COVER:
                systems.append(system)
        self.systems = tuple(systems)
        self.classes = tuple(f"fractal {number}" for number in range(classes))

    def draw(self, class_index: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Draw a warped variation of a system, uint8 [SIDE, SIDE], brighter where points are denser."""
        system = self.systems[class_index]
        matrices = system.matrices * rng.uniform(1 - VARIATION, 1 + VARIATION, system.matrices.shape)
        return warp(_attractor(System(matrices, system.offsets, system.probabilities), rng), GEOMETRY, rng)


def _random_system(rng: np.random.Generator) -> System:
    """Draw two to five contractions; the probability of each is proportional to the area that it covers."""
    count = int(rng.integers(2, 6))
    first, second = rng.uniform(0, 2 * np.pi, (2, count))
    largest = rng.uniform(0.45, 0.85, count)
    smallest = largest * rng.uniform(0.25, 1.0, count)
    mirror = rng.choice((-1.0, 1.0), count)
    matrices = _rotations(first) @ (np.stack([largest, smallest * mirror], axis=1)[:, :, None] * _rotations(second))
    area = np.maximum(largest * smallest, 0.02)
    return System(matrices, rng.uniform(-1, 1, (count, 2)), area / area.sum())


def _rotations(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)


def _attractor(system: System, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Sample the attractor by the chaos game.

    Returns:
        A mask, uint8 [CANVAS, CANVAS], brighter where more points lie; the points are fitted to the content box.
    """
    edges = np.cumsum(system.probabilities)[:-1]
    choices = np.searchsorted(edges, rng.random((STEPS, CHAINS)))
    points = rng.uniform(-0.5, 0.5, (CHAINS, 2, 1))
    samples = np.empty((STEPS - BURN_IN, CHAINS, 2))
    for step, choice in enumerate(choices):
        points = system.matrices[choice] @ points + system.offsets[choice, :, None]
        if step >= BURN_IN:
            samples[step - BURN_IN] = points[..., 0]
    cloud = samples.reshape(-1, 2)
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    scale = (CONTENT - 1) / max(float((high - low).max()), 1e-9)
    pixels = ((cloud - (low + high) / 2) * scale + CANVAS / 2).astype(np.intp)
    counts = np.bincount(pixels[:, 1] * CANVAS + pixels[:, 0], minlength=CANVAS * CANVAS)
    return np.minimum(counts * 120, 255).astype(np.uint8).reshape(CANVAS, CANVAS)
