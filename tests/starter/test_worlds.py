"""The generated worlds: what they draw and what they must not contain."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from starter.drawing import SHARES, World, class_names
from starter.glyphs import CHARACTERS, FACES, find_faces
from starter.shapes import ShapeWorld
from starter.strokes import StrokeWorld, digit_characters, likeness
from starter.textures import TextureWorld
from tasks.common.errors import GraftError

COUNTS = {"glyphs": 152, "strokes": 200, "fractals": 100, "shapes": 24, "textures": 40}


@pytest.fixture(params=COUNTS)
def world(request: pytest.FixtureRequest, worlds: dict[str, World]) -> World:
    """Each world in turn."""
    if request.param not in worlds:
        pytest.skip("the free fonts are not installed")
    return worlds[request.param]


def test_a_draw_is_a_mask_of_64_by_64_bytes(world: World) -> None:
    """Whatever the class, the mask has the side and type that the look expects, and is not blank."""
    for label in range(0, len(world.classes), 7):
        mask = world.draw(label, np.random.default_rng(label))
        assert mask.shape == (64, 64)
        assert mask.dtype == np.uint8
        assert mask.std() > 1


def test_a_seed_fixes_the_draw_and_another_changes_it(world: World) -> None:
    """Draws are functions of label and generator alone."""
    once, again, other = (world.draw(5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_the_class_list_has_the_stated_length_and_no_name_twice(world: World) -> None:
    """The counts are those that the documentation states."""
    assert len(world.classes) == COUNTS[world.name]
    assert len(set(world.classes)) == len(world.classes)


def test_classes_can_be_told_apart_by_the_simplest_of_means(world: World) -> None:
    """The nearest class mean over coarse pixels and spectrum finds the class at twice chance or better."""
    labels = np.linspace(0, len(world.classes) - 1, 8).astype(int)
    rng = np.random.default_rng(0)
    views = np.stack([[_view(world.draw(label, rng)) for _ in range(40)] for label in labels])
    train, test = views[:, :25], views[:, 25:]
    scale = train.std(axis=(0, 1)) + 1e-6
    distance = np.linalg.norm((test[:, :, None] - train.mean(axis=1)) / scale, axis=-1)
    assert (distance.argmin(axis=-1) == np.arange(8)[:, None]).mean() > 2 / 8


def test_every_world_has_a_share_of_the_training_images() -> None:
    """The shares cover the worlds and add up to the whole."""
    assert SHARES.keys() == COUNTS.keys()
    assert sum(SHARES.values()) == pytest.approx(1.0)


def test_class_names_tell_the_world() -> None:
    """A class of one world cannot be mistaken for one of another."""
    assert class_names((ShapeWorld(), TextureWorld()))[:2] == ("shapes: triangle", "shapes: square")


def test_no_character_is_a_digit_or_number() -> None:
    """The target's classes stay out of the source world, in any script."""
    assert [
        c for c in CHARACTERS if unicodedata.numeric(c, None) is not None or unicodedata.category(c)[0] == "N"
    ] == []


@pytest.mark.parametrize(
    "look_alikes",
    ["OoQΟοОоθΘØø∅○", "Il|!/ıιΙ", "Zz?", "ЗзЭэƷξζ", "Чч", "Ss$§", "бbЬьъG", "¬", "BВ&βδ∞", "gqρ"],
    ids=["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
)
def test_no_character_looks_like_a_digit(look_alikes: str) -> None:
    """Letters and signs that a person may read as a digit are left out."""
    assert set(CHARACTERS).isdisjoint(look_alikes)


def test_invented_characters_keep_away_from_the_digits(worlds: dict[str, World]) -> None:
    """No stroke class correlates with a written digit by 0.6 or more, though a digit does with itself."""
    world = worlds["strokes"]
    assert isinstance(world, StrokeWorld)
    digits = np.stack([likeness(digit) for digit in digit_characters()])
    invented = np.stack([likeness(character) for character in world.characters])
    assert (invented @ digits.T).max() < 0.6
    assert np.diag(digits @ digits.T) == pytest.approx(1.0)


def test_missing_fonts_are_named_with_the_packages_to_install(tmp_path: Path) -> None:
    """One line says which Debian packages bring what is missing."""
    with pytest.raises(
        GraftError, match="apt-get install fonts-dejavu fonts-liberation fonts-freefont-ttf fonts-stix$"
    ):
        find_faces((tmp_path,))


def test_only_the_packages_with_a_missing_file_are_named(tmp_path: Path) -> None:
    """A package that is there is not asked for again."""
    for package, names in FACES.items():
        for name in names if package != "fonts-stix" else names[1:]:
            (tmp_path / name).touch()
    with pytest.raises(GraftError, match="apt-get install fonts-stix$"):
        find_faces((tmp_path,))


def _view(mask: np.ndarray) -> np.ndarray:
    coarse = mask.reshape(8, 8, 8, 8).mean(axis=(1, 3)).ravel() / 255
    power = np.abs(np.fft.fft2(mask / 255.0))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64))) * 64
    rings = [np.log(power[(frequency >= low) & (frequency < low + 2)].mean() + 1e-3) for low in range(1, 32, 2)]
    return np.concatenate([coarse, rings])
