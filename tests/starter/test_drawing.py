"""Drawing of the training images, their geometry and their appearance."""

import numpy as np
import pytest

from starter.appearance import paint
from starter.contact_sheet import contact_sheet
from starter.defects import KINDS, defect_images
from starter.drawing import ClassGenerator, class_names, draw_image, draw_images
from starter.shapes import ShapeGenerator
from starter.textures import TextureGenerator
from starter.warp import CANVAS, Warp, thicken, warp


def test_an_image_is_a_function_of_seed_and_number() -> None:
    generators = (ShapeGenerator(), TextureGenerator())
    (first, class_index), (repeated, repeated_index), (other, _) = (
        draw_image(generators, seed, 3) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, repeated)
    assert class_index == repeated_index
    assert not np.array_equal(first, other)


def test_images_are_bytes_in_colour_with_classes_of_all_generators() -> None:
    generators = (ShapeGenerator(), TextureGenerator())
    samples = [draw_image(generators, 0, number) for number in range(300)]
    assert {(image.shape, image.dtype) for image, _ in samples} == {((64, 64, 3), np.dtype(np.uint8))}
    class_indexes = {class_index for _, class_index in samples}
    assert min(class_indexes) < 24 <= max(class_indexes) < len(class_names(generators))
    assert len(class_indexes) > 40


def test_the_number_of_processes_does_not_change_the_images(
    generators: tuple[ClassGenerator, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    images, class_indexes = draw_images(generators, 600, seed=4, processes=2)
    for number in (0, 499, 500, 599):
        image, class_index = draw_image(generators, 4, number)
        assert np.array_equal(images[number], image)
        assert class_indexes[number] == class_index
    assert "drawing images: 600/600 images" in capsys.readouterr().err


def test_the_appearance_keeps_the_figure_visible() -> None:
    """Figure and background differ on average, whatever the light and the noise."""
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[16:48, 16:48] = 255
    rng = np.random.default_rng(0)
    contrasts = []
    for _ in range(100):
        image = paint(mask, rng)
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        contrasts.append(np.abs(image[24:40, 24:40].mean(axis=(0, 1)) - image[:8].mean(axis=(0, 1))).max())
    assert np.percentile(contrasts, 5) > 15


def test_a_warp_with_empty_ranges_only_centres_the_canvas() -> None:
    """The content box of 64 pixels is scaled to the middle 54 pixels."""
    canvas = np.zeros((CANVAS, CANVAS), dtype=np.uint8)
    canvas[8:72, 8:72] = 255
    still = Warp(rotation=0, scale=(1, 1), shear=0, stretch=0, shift=0, bend=0)
    mask = warp(canvas, still, np.random.default_rng(0))
    rows, columns = np.nonzero(mask > 127)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 58, 5, 58)


@pytest.mark.parametrize(
    ("amount", "ink"),
    [
        pytest.param(0, 100, id="unchanged"),
        pytest.param(1, 140, id="dilated-but-for-the-corners"),
        pytest.param(-1, 64, id="eroded"),
        pytest.param(-4, 100, id="an-erosion-that-would-leave-too-little"),
    ],
)
def test_a_square_of_10_by_10_is_dilated_and_eroded_but_never_vanishes(amount: int, ink: int) -> None:
    mask = np.zeros((CANVAS, CANVAS), dtype=np.uint8)
    mask[20:30, 20:30] = 1
    assert thicken(mask, amount).sum() == ink


def test_defect_images_depend_on_the_seed_alone_and_have_all_kinds() -> None:
    images, class_indexes = defect_images(3, seed=1)
    repeated, _ = defect_images(3, seed=1)
    other, _ = defect_images(3, seed=2)
    assert images.shape == (24, 64, 64, 3)
    assert images.dtype == np.uint8
    assert np.bincount(class_indexes).tolist() == [3] * len(KINDS)
    assert np.array_equal(images, repeated)
    assert not np.array_equal(images, other)


def test_the_contact_sheet_has_two_rows_of_twelve_images_for_each_generator() -> None:
    sheet = contact_sheet((ShapeGenerator(), TextureGenerator()), seed=0)
    assert sheet.size == (12 * 66 - 2, 4 * 66 - 2)
