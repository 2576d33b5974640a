"""Textures: each class is one of ten patterns without an outline in one of four grades."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from starter.warp import SIDE

Field: TypeAlias = npt.NDArray[np.float32]
"""Values over the image, float32 [SIDE, SIDE]."""

GRADES = 4
AXIS = np.linspace(-1.0, 1.0, SIDE, dtype=np.float32)
FREQUENCY = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :]).astype(np.float32) * SIDE
FREQUENCY[0, 0] = 1.0


def noise(slope: float, rng: np.random.Generator) -> Field:
    """Return Gaussian noise whose amplitude falls as frequency to the power -slope, mean 0, deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE), dtype=np.float32)) * FREQUENCY**-slope
    field = np.fft.irfft2(spectrum, s=(SIDE, SIDE)).astype(np.float32)
    field -= field.mean()
    return np.asarray(field / (field.std() + np.float32(1e-6)))


def _clip(values: Field) -> Field:
    return np.asarray(np.clip(values, 0, 1))


def _grid(rng: np.random.Generator, bend: float = 0.05) -> tuple[Field, Field]:
    """Return coordinates, about -1..1, rotated by any angle, scaled by 0.8-1.25 and slightly bent."""
    angle = rng.uniform(-np.pi, np.pi)
    scale = np.exp(rng.uniform(-0.22, 0.22))
    x = AXIS[None, :] + bend * rng.uniform() * noise(2.0, rng)
    y = AXIS[:, None] + bend * rng.uniform() * noise(2.0, rng)
    cos, sin = np.float32(scale * np.cos(angle)), np.float32(scale * np.sin(angle))
    dx, dy = rng.uniform(-1, 1, 2).astype(np.float32)
    return cos * x - sin * y + dx, sin * x + cos * y + dy


def _wave(value: Field, sharpness: float = 3.0) -> Field:
    """Turn a phase, in periods, into stripes of 0..1 with soft edges."""
    return _clip(0.5 + sharpness * 0.5 * np.sin(np.float32(2 * np.pi) * value))


def _stripes(grade: int, rng: np.random.Generator) -> Field:
    x, _ = _grid(rng)
    return _wave(x * (1.5, 3, 5.5, 9)[grade], rng.uniform(1, 4))


def _checks(grade: int, rng: np.random.Generator) -> Field:
    x, y = _grid(rng)
    count = (1.2, 2.2, 3.8, 6)[grade]
    return np.asarray(np.abs(_wave(x * count) - _wave(y * count)))


def _dots(grade: int, rng: np.random.Generator) -> Field:
    x, y = _grid(rng)
    count = (1.5, 2.5, 4, 6.5)[grade] / 2
    shift = np.floor(y * count) * 0.5 * int(rng.integers(2))
    distance = np.hypot((x * count + shift) % 1 - 0.5, (y * count) % 1 - 0.5)
    return _clip((rng.uniform(0.22, 0.36) - distance) * 12 + 0.5)


def _bricks(grade: int, rng: np.random.Generator) -> Field:
    x, y = _grid(rng)
    rows = (1.2, 2, 3.2, 5)[grade]
    joint = rng.uniform(0.08, 0.16)
    across = (x * rows / 2 + 0.5 * (np.floor(y * rows) % 2)) % 1
    up = (y * rows) % 1
    edge = np.minimum(np.minimum(up, 1 - up), 2 * np.minimum(across, 1 - across))
    return _clip((edge - joint) * 14 + 0.5)


def _rings(grade: int, rng: np.random.Generator) -> Field:
    x, y = _grid(rng)
    return _wave(np.hypot(x * rng.uniform(0.8, 1.2), y) * (1.5, 3, 5, 8)[grade] + rng.uniform(), rng.uniform(1, 3))


def _rays(grade: int, rng: np.random.Generator) -> Field:
    x, y = _grid(rng)
    dx, dy = rng.uniform(-0.3, 0.3, 2)
    twist = rng.choice((-1.0, 0.0, 1.0)) * rng.uniform(0.3, 1.0)
    turns = np.arctan2(y + dy, x + dx) / (2 * np.pi)
    return _wave(turns * (4, 7, 12, 18)[grade] + twist * np.hypot(x, y), rng.uniform(1, 3))


def _clouds(grade: int, rng: np.random.Generator) -> Field:
    return _clip(0.5 + 0.28 * noise((0.2, 0.9, 1.6, 2.4)[grade], rng))


def _blobs(grade: int, rng: np.random.Generator) -> Field:
    peak = (2.5, 5, 9, 15)[grade]
    band = np.exp(-(((FREQUENCY - peak) / (0.3 * peak)) ** 2))
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE), dtype=np.float32)) * band
    field = np.fft.irfft2(spectrum, s=(SIDE, SIDE))
    return _clip(0.5 + field / (field.std() + 1e-9) * rng.uniform(0.5, 2) + rng.uniform(-0.4, 0.4))


def _cells(grade: int, rng: np.random.Generator) -> Field:
    x, y = _grid(rng, bend=0.02)
    count = (14, 30, 60, 110)[grade]
    seeds = rng.uniform(-2.5, 2.5, (count, 2)).astype(np.float32)
    distance = (x[..., None] - seeds[:, 0]) ** 2 + (y[..., None] - seeds[:, 1]) ** 2
    nearest = np.sqrt(np.partition(distance, 1, axis=-1)[..., :2])
    gap = (nearest[..., 1] - nearest[..., 0]) * np.sqrt(count) / 3
    return _clip(gap * rng.uniform(2, 6))


def _marble(grade: int, rng: np.random.Generator) -> Field:
    x, _ = _grid(rng)
    return _wave(x * 2 + (0.25, 0.6, 1.1, 1.8)[grade] * noise(2.0, rng), rng.uniform(0.8, 2))


PATTERNS: dict[str, Callable[[int, np.random.Generator], Field]] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "bricks": _bricks,
    "rings": _rings,
    "rays": _rays,
    "clouds": _clouds,
    "blobs": _blobs,
    "cells": _cells,
    "marble": _marble,
}


class TextureGenerator:
    """Classes that are patterns in four grades of fineness or disorder."""

    name = "textures"

    def __init__(self) -> None:
        """Make a class of each pattern and grade."""
        self.classes = tuple(f"{pattern} {grade}" for pattern in PATTERNS for grade in range(GRADES))
        self._patterns = tuple(PATTERNS.values())

    def draw(self, class_index: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Draw a texture, uint8 [SIDE, SIDE]."""
        position, grade = divmod(class_index, GRADES)
        return np.asarray(self._patterns[position](grade, rng) * 255, dtype=np.uint8)
