"""Generators of classes, made once for all the tests."""

from importlib.resources import files
from pathlib import Path

import pytest

from starter.drawing import ClassGenerator
from starter.fractals import FractalGenerator
from starter.glyphs import GlyphGenerator
from starter.shapes import ShapeGenerator
from starter.strokes import StrokeGenerator
from starter.textures import TextureGenerator


@pytest.fixture(scope="session")
def face() -> Path:
    """Return DejaVu Sans, which has all the characters; a development dependency contains it."""
    return Path(str(files("ziafont") / "fonts" / "DejaVuSans.ttf"))


@pytest.fixture(scope="session")
def generators(face: Path) -> tuple[ClassGenerator, ...]:
    """Return all the generators in class order, with one font face and few invented characters, which take long."""
    return (
        GlyphGenerator((face,)),
        StrokeGenerator(classes=40),
        FractalGenerator(),
        ShapeGenerator(),
        TextureGenerator(),
    )
