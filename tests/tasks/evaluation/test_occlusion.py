import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tasks.evaluation.occlusion import GRID, Explanation, explain, hide_parts, spread
from tasks.evaluation.report.explanation import GREY, draw_explanation

SIZE = 60
Pixels = npt.NDArray[np.uint8]


def spot(top: int, left: int) -> Pixels:
    """Return a black image with a white square of a sixth of its side."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[top : top + 10, left : left + 10] = 255
    return image


def predict(batch: Pixels) -> npt.NDArray[np.float32]:
    """Return the share of white as the probability of the second class."""
    white = (batch == 255).mean(axis=(1, 2, 3)) * 36
    return np.stack([1 - white, white], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("top", "left", "place"),
    [(0, 0, (0, 0)), (50, 50, (5, 5)), (0, 50, (0, 5)), (25, 25, None)],
    ids=["a corner", "the opposite corner", "another corner", "the centre"],
)
def test_the_probability_drops_where_the_patch_hides_what_counts(
    top: int, left: int, place: tuple[int, int] | None
) -> None:
    explanation = explain([spot(top, left)], [1], predict)[0]
    assert explanation.drops.shape == (GRID, GRID)
    assert explanation.drops.max() == pytest.approx(1)
    if place is None:
        np.testing.assert_allclose(explanation.drops, explanation.drops[::-1, ::-1], atol=1e-5)
        assert (explanation.drops[2:4, 2:4] > 0.5).all()
    else:
        assert np.argwhere(explanation.drops > 0.99).tolist() == [list(place)]


def test_each_image_is_explained_for_its_own_class() -> None:
    images = [spot(0, 0), spot(50, 0), spot(0, 0)]
    drops = [explanation.drops for explanation in explain(images, [1, 1, 0], predict)]
    np.testing.assert_allclose(drops[1], drops[0][::-1], atol=1e-6)
    np.testing.assert_allclose(drops[2], -drops[0], atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 16, 64])
def test_patches_of_the_mean_colour_cover_the_whole_image(size: int) -> None:
    image = np.random.default_rng(0).integers(0, 100, (size, size, 3), dtype=np.uint8)
    image[0, 0] = 255
    hidden = hide_parts(image)
    assert hidden.shape == (GRID * GRID, size, size, 3)
    mean = image.mean(axis=(0, 1)).round().astype(np.uint8)
    is_covered = (hidden == mean).all(axis=-1)
    assert is_covered.any(axis=0).all()
    np.testing.assert_array_equal(hidden[~is_covered], np.broadcast_to(image, hidden.shape)[~is_covered])


def test_drops_are_spread_over_the_pixels_in_proportion() -> None:
    drops = np.tile(np.arange(GRID, dtype=np.float32), (GRID, 1))
    pixels = spread(drops, SIZE)
    assert pixels.shape == (SIZE, SIZE)
    np.testing.assert_array_equal(pixels, np.tile(pixels[0], (SIZE, 1)))
    assert (np.diff(pixels[0]) >= 0).all()
    assert (pixels[0, 0], pixels[0, -1]) == (0, GRID - 1)


def test_the_picture_keeps_what_counts_and_greys_the_rest_with_a_line_between() -> None:
    red = np.zeros((SIZE, SIZE, 3), np.uint8)
    red[..., 0] = 200
    drops = np.zeros((GRID, GRID), np.float32)
    drops[0, 0] = 0.3
    drawing = draw_explanation(Explanation(red, drops), 120)
    assert drawing is not None
    pixels = np.asarray(drawing.image).astype(int)
    assert pixels.shape == (120, 120, 3)
    assert pixels[0, 0].tolist() == [200, 0, 0]
    assert np.abs(pixels[-1, -1] - GREY).max() < 30
    assert {(0, 0, 0), (255, 255, 255)} <= {tuple(pixel) for pixel in pixels.diagonal().T.tolist()}


@pytest.mark.parametrize("drop", [0.0, 0.005, -0.5])
def test_nothing_is_drawn_if_no_part_counts(drop: float) -> None:
    drops = np.full((GRID, GRID), drop, np.float32)
    assert draw_explanation(Explanation(np.zeros((SIZE, SIZE, 3), np.uint8), drops), 120) is None


def test_the_same_explanation_gives_the_same_picture() -> None:
    explanation = explain([spot(20, 20)], [1], predict)[0]
    pictures = [draw_explanation(explanation, 90) for _ in range(2)]
    images = [Image.Image.tobytes(picture.image) for picture in pictures if picture]
    assert len(images) == 2
    assert images[0] == images[1]
