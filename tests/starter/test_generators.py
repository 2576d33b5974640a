"""The generators of classes: what they draw and what they must not contain."""

import unicodedata
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from starter.drawing import SHARES, ClassGenerator, class_names
from starter.fractals import FractalGenerator
from starter.glyphs import CHARACTERS, FACES, GlyphGenerator, find_faces
from starter.shapes import ShapeGenerator
from starter.strokes import StrokeGenerator, digit_characters, thumbnail
from starter.textures import TextureGenerator
from tasks.common.errors import GraftError

COUNTS = {"glyphs": 152, "strokes": 200, "fractals": 100, "shapes": 24, "textures": 40}


@pytest.fixture(params=COUNTS)
def generator(request: pytest.FixtureRequest, generators: tuple[ClassGenerator, ...]) -> ClassGenerator:
    """Return each generator in turn."""
    return next(generator for generator in generators if generator.name == request.param)


def test_a_draw_is_a_mask_of_64_by_64_bytes_that_is_not_blank(generator: ClassGenerator) -> None:
    for class_index in range(0, len(generator.classes), 7):
        mask = generator.draw(class_index, np.random.default_rng(class_index))
        assert mask.shape == (64, 64)
        assert mask.dtype == np.uint8
        assert mask.std() > 1


def test_a_seed_fixes_the_draw_and_another_changes_it(generator: ClassGenerator) -> None:
    first, repeated, other = (generator.draw(5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, repeated)
    assert not np.array_equal(first, other)


def test_classes_can_be_distinguished_by_coarse_pixels_and_spectrum(generator: ClassGenerator) -> None:
    """The nearest class mean is right at twice the rate of chance or more, for 8 of the classes."""
    class_indexes = np.linspace(0, len(generator.classes) - 1, 8).astype(int)
    rng = np.random.default_rng(0)
    vectors = np.stack([[_coarse(generator.draw(index, rng)) for _ in range(40)] for index in class_indexes])
    train, test = vectors[:, :25], vectors[:, 25:]
    scale = train.std(axis=(0, 1)) + 1e-6
    distance = np.linalg.norm((test[:, :, None] - train.mean(axis=1)) / scale, axis=-1)
    assert (distance.argmin(axis=-1) == np.arange(8)[:, None]).mean() > 2 / 8


def test_the_generators_have_as_many_classes_as_documented_and_no_name_twice(face: Path) -> None:
    all_generators = (
        GlyphGenerator((face,)),
        StrokeGenerator(),
        FractalGenerator(),
        ShapeGenerator(),
        TextureGenerator(),
    )
    assert {generator.name: len(generator.classes) for generator in all_generators} == COUNTS
    names = class_names(all_generators)
    assert len(set(names)) == len(names) == 516


def test_the_shares_of_the_generators_add_up_to_one() -> None:
    assert SHARES.keys() == COUNTS.keys()
    assert sum(SHARES.values()) == pytest.approx(1.0)


def test_class_names_begin_with_the_generator() -> None:
    names = class_names((ShapeGenerator(), TextureGenerator()))
    assert (names[0], names[-1]) == ("shapes: triangle", "textures: marble 3")


def test_no_character_is_a_digit_or_number_in_any_script() -> None:
    numbers = [
        character
        for character in CHARACTERS
        if unicodedata.numeric(character, None) is not None or unicodedata.category(character)[0] == "N"
    ]
    assert numbers == []


@pytest.mark.parametrize(
    "look_alikes",
    ["OoQΟοОоθΘØø∅○", "Il|!/ıιΙ", "Zz?", "ЗзЭэƷξζ", "Чч", "Ss$§", "бbЬьъG", "¬", "BВ&βδ∞", "gqρ"],
    ids=["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
)
def test_no_character_looks_like_a_digit(look_alikes: str) -> None:
    assert set(CHARACTERS).isdisjoint(look_alikes)


def test_invented_characters_do_not_correlate_with_the_digits(generators: tuple[ClassGenerator, ...]) -> None:
    """The correlation with each written digit is below 0.6; that of a digit with itself is 1."""
    _, strokes, *_ = generators
    assert isinstance(strokes, StrokeGenerator)
    digits = np.stack([thumbnail(digit) for digit in digit_characters()])
    invented = np.stack([thumbnail(character) for character in strokes.characters])
    assert (invented @ digits.T).max() < 0.6
    assert np.diag(digits @ digits.T) == pytest.approx(1.0)


def test_a_character_that_no_face_has_is_named(face: Path) -> None:
    generator = GlyphGenerator((face,), "A\u4e00")
    generator.draw(0, np.random.default_rng(0))
    with pytest.raises(GraftError, match="no font face has the character '\u4e00'"):
        generator.draw(1, np.random.default_rng(0))


def test_missing_fonts_are_named_with_the_packages_to_install(tmp_path: Path) -> None:
    with pytest.raises(
        GraftError, match="apt-get install fonts-dejavu fonts-liberation fonts-freefont-ttf fonts-stix$"
    ):
        find_faces((tmp_path,))


def test_only_the_packages_with_a_missing_file_are_named(tmp_path: Path) -> None:
    for package, names in FACES.items():
        for name in names if package != "fonts-stix" else names[1:]:
            (tmp_path / name).touch()
    with pytest.raises(GraftError, match="apt-get install fonts-stix$"):
        find_faces((tmp_path,))


def test_fonts_are_found_in_subfolders_and_the_first_folder_wins(tmp_path: Path) -> None:
    names = [name for package in FACES.values() for name in package]
    for folder, selection in (("first/deep", names[:1]), ("second", names)):
        (tmp_path / folder).mkdir(parents=True)
        for name in selection:
            (tmp_path / folder / name).touch()
    faces = find_faces((tmp_path / "first", tmp_path / "second"))
    assert [path.name for path in faces] == names
    assert [path.parent.name for path in faces[:2]] == ["deep", "second"]


def _coarse(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    pixels = mask.reshape(8, 8, 8, 8).mean(axis=(1, 3)).ravel() / 255
    power = np.abs(np.fft.fft2(mask / 255.0))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64))) * 64
    rings = [np.log(power[(frequency >= low) & (frequency < low + 2)].mean() + 1e-3) for low in range(1, 32, 2)]
    return np.concatenate([pixels, rings])
