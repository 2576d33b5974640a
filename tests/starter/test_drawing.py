"""The training images and what is done to them."""

from __future__ import annotations

import numpy as np
import pytest

from starter.appearance import paint
from starter.contact_sheet import contact_sheet
from starter.defects import KINDS, defect_images
from starter.drawing import World, class_names, draw_image, draw_images
from starter.shapes import ShapeWorld
from starter.textures import TextureWorld
from starter.warp import CANVAS, Warp, thicken, warp


def test_an_image_is_a_function_of_seed_and_number() -> None:
    """Number 3 is the same image whenever it is drawn, and not the image of another seed."""
    worlds = (ShapeWorld(), TextureWorld())
    (once, label), (again, label_again), (other, _) = (draw_image(worlds, seed, 3) for seed in (0, 0, 1))
    assert np.array_equal(once, again)
    assert label == label_again
    assert not np.array_equal(once, other)


def test_images_are_bytes_in_colour_with_labels_over_all_classes() -> None:
    """A few hundred images meet both worlds, and every label is one of the class list."""
    worlds = (ShapeWorld(), TextureWorld())
    drawn = [draw_image(worlds, 0, number) for number in range(300)]
    assert {(picture.shape, picture.dtype) for picture, _ in drawn} == {((64, 64, 3), np.dtype(np.uint8))}
    labels = {label for _, label in drawn}
    assert min(labels) < 24 <= max(labels) < len(class_names(worlds))
    assert len(labels) > 40


@pytest.mark.usefixtures("fonts")
def test_the_number_of_processes_does_not_change_the_images(worlds: dict[str, World]) -> None:
    """Two processes draw what one draws in place, and report as many as they drew."""
    finished: list[int] = []
    pictures, labels = draw_images(600, seed=4, processes=2, advance=finished.append)
    for number in (0, 499, 500, 599):
        picture, label = draw_image(tuple(worlds.values()), 4, number)
        assert np.array_equal(pictures[number], picture)
        assert labels[number] == label
    assert sum(finished) == 600


def test_the_look_keeps_the_figure_visible() -> None:
    """Over many looks, figure and ground differ on average, whatever the light and the noise."""
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[16:48, 16:48] = 255
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(100):
        picture = paint(mask, rng)
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
        gaps.append(np.abs(picture[24:40, 24:40].mean(axis=(0, 1)) - picture[:8].mean(axis=(0, 1))).max())
    assert np.percentile(gaps, 5) > 15


def test_a_warp_without_range_only_centres_the_canvas() -> None:
    """With every range shut, the content box lands on the middle 54 pixels."""
    canvas = np.zeros((CANVAS, CANVAS), dtype=np.uint8)
    canvas[8:72, 8:72] = 255
    still = Warp(rotation=0, scale=(1, 1), shear=0, stretch=0, shift=0, bend=0)
    mask = warp(canvas, still, np.random.default_rng(0))
    rows, columns = np.nonzero(mask > 127)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 58, 5, 58)


@pytest.mark.parametrize(("amount", "ink"), [(0, 100), (1, 144 - 4), (-1, 64), (-4, 100)])
def test_strokes_thicken_and_thin_but_never_vanish(amount: int, ink: int) -> None:
    """A square of 10x10 grows or shrinks by a pixel on each side; a thinning that would eat it is not done."""
    mask = np.zeros((CANVAS, CANVAS), dtype=np.uint8)
    mask[20:30, 20:30] = 1
    assert thicken(mask, amount).sum() == pytest.approx(ink, abs=4)


def test_the_defect_images_are_the_same_for_the_same_seed() -> None:
    """The evaluation world has as many images of each kind as asked for, in bytes."""
    pictures, labels = defect_images(3, seed=1)
    again, _ = defect_images(3, seed=1)
    other, _ = defect_images(3, seed=2)
    assert pictures.shape == (24, 64, 64, 3)
    assert pictures.dtype == np.uint8
    assert np.bincount(labels).tolist() == [3] * len(KINDS)
    assert np.array_equal(pictures, again)
    assert not np.array_equal(pictures, other)


def test_the_contact_sheet_has_two_rows_for_each_world() -> None:
    """Twelve images in a row, 66 pixels apart."""
    sheet = contact_sheet((ShapeWorld(), TextureWorld()), seed=0)
    assert sheet.size == (12 * 66 - 2, 4 * 66 - 2)
