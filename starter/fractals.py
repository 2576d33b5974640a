"""The fractal world: attractors of random iterated function systems, one system a class.

Kataoka et al. 2020, 'Pre-training without Natural Images', showed that such images teach a network features that
transfer. The systems are drawn by singular values, as Anderson and Farrell 2022, 'Improving Fractal Pre-training',
do, so that every map contracts and no class has to be searched for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from starter.warp import CANVAS, CONTENT, Warp, warp

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TURN = Warp(rotation=40.0)
_CHAINS = 384
_STEPS = 20
_SETTLE = 6
_LEAST_COVER = 0.12
_MOST_COVER = 0.75
_CHANGE = 0.15


@dataclass(frozen=True)
class System:
    """Affine maps x -> matrix @ x + offset, chosen with the given probabilities."""

    matrices: NDArray[np.float64]
    offsets: NDArray[np.float64]
    probabilities: NDArray[np.float64]


class FractalWorld:
    """Iterated function systems as classes, the same for the same seed."""

    name = "fractals"

    def __init__(self, classes: int = 100, seed: int = 11) -> None:
        """Draw that many systems whose attractor covers a fair part of the canvas."""
        rng = np.random.default_rng(seed)
        systems: list[System] = []
        while len(systems) < classes:
            system = _random_system(rng)
            cover = float((_attractor(system, rng) > 0).mean()) * (CANVAS / CONTENT) ** 2
            if _LEAST_COVER < cover < _MOST_COVER:
                systems.append(system)
        self.systems = tuple(systems)
        self.classes = tuple(f"fractal {number}" for number in range(classes))

    def draw(self, label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw one variant of a system, warped, uint8 [SIDE, SIDE]: the denser the points, the brighter."""
        system = self.systems[label]
        matrices = system.matrices * rng.uniform(1 - _CHANGE, 1 + _CHANGE, system.matrices.shape)
        return warp(_attractor(System(matrices, system.offsets, system.probabilities), rng), _TURN, rng)


def _random_system(rng: np.random.Generator) -> System:
    """Draw two to five contractions; a map is chosen in proportion to the area that it covers."""
    count = int(rng.integers(2, 6))
    first, second = rng.uniform(0, 2 * np.pi, (2, count))
    largest = rng.uniform(0.45, 0.85, count)
    smallest = largest * rng.uniform(0.25, 1.0, count)
    mirror = rng.choice((-1.0, 1.0), count)
    matrices = _rotations(first) @ (np.stack([largest, smallest * mirror], axis=1)[:, :, None] * _rotations(second))
    area = np.maximum(largest * smallest, 0.02)
    return System(matrices, rng.uniform(-1, 1, (count, 2)), area / area.sum())


def _rotations(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)


def _attractor(system: System, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Play the chaos game and count the points, uint8 [CANVAS, CANVAS]; the points fill the content box."""
    edges = np.cumsum(system.probabilities)[:-1]
    choices = np.searchsorted(edges, rng.random((_STEPS, _CHAINS)))
    points = rng.uniform(-0.5, 0.5, (_CHAINS, 2, 1))
    kept = np.empty((_STEPS - _SETTLE, _CHAINS, 2))
    for step, choice in enumerate(choices):
        points = system.matrices[choice] @ points + system.offsets[choice, :, None]
        if step >= _SETTLE:
            kept[step - _SETTLE] = points[..., 0]
    cloud = kept.reshape(-1, 2)
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    scale = (CONTENT - 1) / max(float((high - low).max()), 1e-9)
    pixels = ((cloud - (low + high) / 2) * scale + CANVAS / 2).astype(np.intp)
    counts = np.bincount(pixels[:, 1] * CANVAS + pixels[:, 0], minlength=CANVAS * CANVAS)
    return np.minimum(counts * 120, 255).astype(np.uint8).reshape(CANVAS, CANVAS)
