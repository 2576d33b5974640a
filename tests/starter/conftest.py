"""The worlds, built once for all the tests: inventing the characters takes seconds."""

from __future__ import annotations

import contextlib

import pytest

from starter.drawing import World
from starter.fractals import FractalWorld
from starter.glyphs import GlyphWorld, find_faces
from starter.shapes import ShapeWorld
from starter.strokes import StrokeWorld
from starter.textures import TextureWorld
from tasks.common.errors import GraftError


@pytest.fixture(scope="session")
def worlds() -> dict[str, World]:
    """All the worlds by name in label order, without the glyphs where their fonts are not installed."""
    found: list[World] = [StrokeWorld(), FractalWorld(), ShapeWorld(), TextureWorld()]
    with contextlib.suppress(GraftError):
        found.insert(0, GlyphWorld(find_faces()))
    return {world.name: world for world in found}


@pytest.fixture(scope="session")
def fonts(worlds: dict[str, World]) -> None:
    """Skip where the free fonts are not installed."""
    if "glyphs" not in worlds:
        pytest.skip("the free fonts are not installed")
