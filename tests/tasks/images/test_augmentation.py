import math
import os
import re
import subprocess
import sys
import tracemalloc
from hashlib import sha256
from itertools import combinations

import numpy as np
import numpy.typing as npt
import PIL
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.images import augmentation
from tasks.images.augmentation import AugmentationSpec, Change, apply_change, draw_change, identity, make_view
from tasks.images.decoding import Pixels
from tests.tasks.conftest import ROOT, noise

OFF = AugmentationSpec(
    horizontal_flip=False, vertical_flip=False, crop=1.0, rotation=0, zoom=0, brightness=0, contrast=0, colour=0
)
FULL = AugmentationSpec(
    horizontal_flip=True, vertical_flip=True, crop=0.5, rotation=30, zoom=0.3, brightness=0.3, contrast=0.3, colour=0.3
)
NO_CHANGE = Change(
    mirror=False,
    flip=False,
    height=1,
    width=1,
    top=0,
    left=0,
    scale=1,
    degrees=0,
    brightness=1,
    contrast=1,
    colour=1,
)
IMAGE = noise(0, 24, 40)
SHAPES = [(1, 1), (1, 2), (2, 1), (1, 300), (300, 1), (2, 200), (3, 3), (24, 40), (375, 500)]
DIGESTS = [sha256(bytes([number])).hexdigest() for number in range(250)]
LUMA = np.array([0.299, 0.587, 0.114])

factors = st.floats(0, 2)
amounts = st.floats(0, 0.9)
specs = st.builds(
    AugmentationSpec, st.booleans(), st.booleans(), st.floats(0.01, 1), st.floats(0, 180), *[amounts for _ in range(4)]
)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40)) | st.sampled_from(SHAPES[:-1])
numbers = st.integers(0, 10**6)


def shape_id(shape: tuple[int, int]) -> str:
    """Return the name of a case of this shape."""
    return f"{shape[0]}x{shape[1]}"


def coordinates(height: int, width: int) -> Pixels:
    """Return an image whose first two channels are the row and the column of each pixel."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)


def centre_of_white(pixels: Pixels) -> tuple[float, float]:
    """Return the mean row and column of the white pixels."""
    weights = pixels[..., 0].astype(float)
    rows, columns = np.indices(weights.shape)
    return (rows * weights).sum() / weights.sum(), (columns * weights).sum() / weights.sum()


def greys(*values: int) -> Pixels:
    """Return a row of grey pixels."""
    return np.array([[[value] * 3 for value in values]], np.uint8)


def pixel(red: int, green: int, blue: int) -> Pixels:
    """Return an image of a single pixel."""
    return np.array([[[red, green, blue]]], np.uint8)


def draws(per_image: int = 8) -> list[Change]:
    """Return the changes of the first views of every image of DIGESTS."""
    return [draw_change(digest, number, 0, FULL) for digest in DIGESTS for number in range(1, 1 + per_image)]


# Views as a whole


@given(shapes, specs, numbers, st.integers(0, 2**32))
def test_a_view_is_an_image_and_is_reproducible(
    shape: tuple[int, int], spec: AugmentationSpec, number: int, seed: int
) -> None:
    pixels = noise(1, *shape)
    before = pixels.copy()
    view = make_view(pixels, DIGESTS[0], number, seed, spec)
    assert view.dtype == np.uint8
    assert (view.ndim, view.shape[2], min(view.shape) >= 1, view.flags.c_contiguous) == (3, 3, True, True)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(make_view(pixels, DIGESTS[0], number, seed, spec), view)


def test_view_zero_is_the_image_itself() -> None:
    assert make_view(IMAGE, DIGESTS[0], 0, 0, FULL) is IMAGE


@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
def test_with_every_effect_off_every_view_equals_its_image(shape: tuple[int, int]) -> None:
    pixels = noise(2, *shape)
    for number in range(1, 4):
        np.testing.assert_array_equal(make_view(pixels, DIGESTS[0], number, 0, OFF), pixels)


def test_pixels_may_be_read_only_and_not_contiguous() -> None:
    pixels = noise(3, 60, 60)[::2, ::-3]
    pixels.flags.writeable = False
    for number in range(1, 9):
        np.testing.assert_array_equal(
            make_view(pixels, DIGESTS[0], number, 0, FULL), make_view(pixels.copy(), DIGESTS[0], number, 0, FULL)
        )


def view_hashes(*, backwards: bool) -> list[str]:
    """Return a line with the hash of each of several views, which are computed in either order."""
    cases = [(shape, number, spec) for shape in SHAPES for number in range(4) for spec in (OFF, FULL)]
    lines = []
    for shape, number, spec in reversed(cases) if backwards else cases:
        view = make_view(noise(sum(shape), *shape), DIGESTS[sum(shape) % 9], number, 7, spec)
        lines.append(f"{shape} {number} {identity(spec, 7)} {view.shape} {sha256(view.tobytes()).hexdigest()}")
    return sorted(lines)


def test_another_process_computes_the_same_bytes_in_another_order() -> None:
    script = (
        "from tests.tasks.images.test_augmentation import view_hashes\nprint(*view_hashes(backwards=True), sep='\\n')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == view_hashes(backwards=False)


def test_views_keep_the_bytes_of_their_version() -> None:
    # Pillow computes rotation and tones, and a new Pillow may change them; the other effects must never change.
    spec = FULL._replace(rotation=0, brightness=0, contrast=0, colour=0)
    views = [make_view(IMAGE, digest, number, 7, spec) for digest in DIGESTS[:20] for number in range(1, 4)]
    content = b"".join(b"%d %d " % view.shape[:2] + view.tobytes() for view in views)
    assert (augmentation.VERSION, sha256(content).hexdigest()) == (
        1,
        "7640c5eebf303a0fd47cd91a1fdd33f0dc31ef2834fc0efefe04080be16bc94b",
    )


# Draws


def test_the_views_of_an_image_differ_pairwise() -> None:
    views = [make_view(IMAGE, DIGESTS[0], number, 0, FULL) for number in range(40)]
    assert not any(np.array_equal(first, second) for first, second in combinations(views, 2))


def test_different_images_numbers_and_seeds_give_different_draws() -> None:
    changes = [
        draw_change(digest, number, seed, FULL)
        for digest in DIGESTS[:10]
        for number in (1, 2, 12)
        for seed in (0, 1, 21)
    ]
    for values in zip(*changes, strict=True):
        assert len(set(values)) == (2 if isinstance(values[0], bool) else len(changes))


@pytest.mark.parametrize(
    ("effect", "fields"),
    [
        ("horizontal_flip", {"mirror"}),
        ("vertical_flip", {"flip"}),
        ("crop", {"height", "width"}),  # its position is drawn too, but has no effect on a whole image
        ("rotation", {"degrees"}),
        ("zoom", {"scale"}),
        ("brightness", {"brightness"}),
        ("contrast", {"contrast"}),
        ("colour", {"colour"}),
    ],
)
def test_switching_an_effect_off_leaves_the_other_effects_unchanged(effect: str, fields: set[str]) -> None:
    digest = next(digest for digest in DIGESTS if all(draw_change(digest, 1, 0, FULL)[:2]))  # flipped both ways
    with_effect = draw_change(digest, 1, 0, FULL)
    without = draw_change(digest, 1, 0, FULL._replace(**{effect: getattr(OFF, effect)}))
    assert {name for name in Change._fields if getattr(with_effect, name) != getattr(without, name)} == fields
    assert all(getattr(without, name) == getattr(NO_CHANGE, name) for name in fields)


@given(specs, st.sampled_from(DIGESTS), st.integers(1, 10**6))
def test_draws_stay_within_the_bounds_of_the_spec(spec: AugmentationSpec, digest: str, number: int) -> None:
    change = draw_change(digest, number, 0, spec)
    assert spec.horizontal_flip or not change.mirror
    assert spec.vertical_flip or not change.flip
    assert spec.crop <= change.height * change.width + 1e-12
    assert max(change.height, change.width) <= 1
    assert 3 / 4 - 1e-12 <= change.width / change.height <= 4 / 3 + 1e-12
    assert 0 <= min(change.top, change.left) <= max(change.top, change.left) < 1
    assert abs(change.degrees) <= spec.rotation
    for factor, amount in zip(
        (change.scale, change.brightness, change.contrast, change.colour),
        (spec.zoom, spec.brightness, spec.contrast, spec.colour),
        strict=True,
    ):
        assert 1 - amount <= factor <= 1 + amount


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("degrees", -30, 30),
        ("scale", 0.7, 1.3),
        ("brightness", 0.7, 1.3),
        ("contrast", 0.7, 1.3),
        ("colour", 0.7, 1.3),
        ("top", 0, 1),
        ("left", 0, 1),
    ],
)
def test_draws_are_uniform_over_their_range(field: str, least: float, most: float) -> None:
    counts, _ = np.histogram([getattr(change, field) for change in draws()], bins=10, range=(least, most))
    assert counts.sum() == 2000
    assert np.abs(counts - 200).max() < 60  # more than four standard deviations


def test_the_area_of_crops_is_uniform_and_their_aspect_ratio_is_symmetric() -> None:
    counts, _ = np.histogram([change.height * change.width for change in draws()], bins=10, range=(0.5, 1))
    assert np.abs(counts - 200).max() < 60
    assert abs(np.mean([math.log(change.width / change.height) for change in draws()])) < 0.02


@pytest.mark.parametrize("field", ["mirror", "flip"])
def test_half_of_the_views_are_flipped(field: str) -> None:
    assert 900 < sum(getattr(change, field) for change in draws()) < 1100


# Geometry


@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
@pytest.mark.parametrize(
    ("mirror", "flip"), [(True, False), (False, True), (True, True)], ids=["mirror", "flip", "both"]
)
def test_flips_are_exact_mirror_images(shape: tuple[int, int], mirror: bool, flip: bool) -> None:
    pixels = noise(4, *shape)
    expected = pixels[:: -1 if flip else 1, :: -1 if mirror else 1]
    np.testing.assert_array_equal(apply_change(pixels, NO_CHANGE._replace(mirror=mirror, flip=flip)), expected)


@pytest.mark.parametrize(
    ("height", "width", "top", "left", "rows", "columns"),
    [
        pytest.param(1, 1, 0.9, 0.9, slice(0, 24), slice(0, 40), id="whole image"),
        pytest.param(0.5, 1, 0, 0, slice(0, 12), slice(0, 40), id="upper half"),
        pytest.param(0.5, 0.25, 0.999, 0.999, slice(12, 24), slice(30, 40), id="lower right"),
        pytest.param(0.5, 0.5, 0.5, 0.5, slice(6, 18), slice(10, 30), id="centre"),
        pytest.param(0.51, 0.501, 0, 0, slice(0, 13), slice(0, 21), id="rounded up"),
        pytest.param(0.001, 0.001, 0, 0.999, slice(0, 1), slice(39, 40), id="a single pixel"),
    ],
)
def test_a_crop_is_an_exact_part(
    height: float, width: float, top: float, left: float, rows: slice, columns: slice
) -> None:
    change = NO_CHANGE._replace(height=height, width=width, top=top, left=left)
    np.testing.assert_array_equal(apply_change(IMAGE, change), IMAGE[rows, columns])


@given(shapes, st.floats(0.01, 1), st.integers(1, 10**6))
def test_a_cropped_view_is_a_part_of_its_image_with_at_least_the_given_area(
    shape: tuple[int, int], crop: float, number: int
) -> None:
    pixels = coordinates(*shape)
    assume(max(shape) < 256)
    view = make_view(pixels, DIGESTS[0], number, 0, OFF._replace(crop=crop))
    assert view.shape[0] * view.shape[1] >= crop * shape[0] * shape[1] - 1e-9
    top, left, _ = view[0, 0].tolist()
    np.testing.assert_array_equal(view, pixels[top : top + view.shape[0], left : left + view.shape[1]])


def test_crops_reach_every_edge() -> None:
    pixels = coordinates(24, 40)
    views = [make_view(pixels, digest, 1, 0, OFF._replace(crop=0.5)) for digest in DIGESTS]
    first, last = np.array([view[0, 0] for view in views]), np.array([view[-1, -1] for view in views])
    assert (first.min(axis=0)[:2].tolist(), last.max(axis=0)[:2].tolist()) == ([0, 0], [23, 39])


@pytest.mark.parametrize("shape", [(24, 40), (25, 39), (1, 1), (2, 2), (1, 8), (8, 1), (2, 80)], ids=shape_id)
def test_magnifying_keeps_the_centre_and_shrinking_continues_the_image_by_reflection(shape: tuple[int, int]) -> None:
    pixels = noise(5, *shape)
    near, far = (
        apply_change(pixels, NO_CHANGE._replace(scale=2.0)),
        apply_change(pixels, NO_CHANGE._replace(scale=0.625)),
    )
    tops = [(size - max(1, round(size / 2))) // 2 for size in shape]
    np.testing.assert_array_equal(near, pixels[tops[0] : tops[0] + near.shape[0], tops[1] : tops[1] + near.shape[1]])
    assert near.shape[:2] == tuple(max(1, round(size / 2)) for size in shape)
    assert far.shape[:2] == tuple(round(size / 0.625) for size in shape)
    margins = [
        (-((size - length) // 2), length - size + (size - length) // 2)
        for size, length in zip(shape, far.shape, strict=False)
    ]
    np.testing.assert_array_equal(far, np.pad(pixels, [*margins, (0, 0)], mode="reflect"))


@pytest.mark.parametrize("scale", [0.1, 0.125, 0.25, 0.5])
def test_strong_shrinking_averages_pixels_so_that_the_view_stays_small(scale: float) -> None:
    cell = round(1 / scale)
    cells = noise(8, 6, 10)
    view = apply_change(cells.repeat(cell, axis=0).repeat(cell, axis=1), NO_CHANGE._replace(scale=scale))
    assert view.shape == (6 * cell, 10 * cell, 3)
    down, across = ((cell - 1) * size / 2 for size in (6, 10))
    margins = [(math.ceil(down), math.floor(down)), (math.ceil(across), math.floor(across)), (0, 0)]
    np.testing.assert_array_equal(view, np.pad(cells, margins, mode="reflect"))


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        pytest.param(0, (13, 20), id="none"),
        pytest.param(90, (20, 13), id="90 degrees to the left"),
        pytest.param(-90, (20, 27), id="90 degrees to the right"),
        pytest.param(180, (27, 20), id="180 degrees"),
        pytest.param(45, (20 - 7 * math.sqrt(0.5), 20 - 7 * math.sqrt(0.5)), id="45 degrees to the left"),
        pytest.param(-30, (20 - 7 * math.cos(math.pi / 6), 23.5), id="30 degrees to the right"),
    ],
)
def test_rotation_moves_a_marker_counter_clockwise(degrees: float, expected: tuple[float, float]) -> None:
    pixels = np.zeros((41, 41, 3), np.uint8)
    pixels[12:15, 19:22] = 255
    view = apply_change(pixels, NO_CHANGE._replace(degrees=degrees))
    assert view.shape == (41, 41, 3)
    assert centre_of_white(view) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("change", "marker", "expected"),
    [
        pytest.param(NO_CHANGE._replace(mirror=True), (10, 25), (25, 10), id="mirror"),
        pytest.param(NO_CHANGE._replace(flip=True), (10, 25), (15, 30), id="flip"),
        pytest.param(NO_CHANGE._replace(height=0.5, width=0.5, top=0, left=0.99), (5, 35), (5, 5), id="crop"),
        pytest.param(NO_CHANGE._replace(scale=2), (14, 25), (4, 4), id="zoom"),
    ],
)
def test_rotation_follows_the_other_geometry_and_is_about_the_centre_of_the_window(
    change: Change, marker: tuple[int, int], expected: tuple[int, int]
) -> None:
    pixels = np.zeros((41, 41, 3), np.uint8)
    pixels[marker] = 255
    assert centre_of_white(apply_change(pixels, change._replace(degrees=90))) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_of_a_square_are_exact_but_for_rounding(turns: int) -> None:
    pixels = noise(6, 33, 33)
    view = apply_change(pixels, NO_CHANGE._replace(degrees=90 * turns)).astype(int)
    assert np.abs(view - np.rot90(pixels, turns)).max() <= 1


@pytest.mark.parametrize("degrees", [-170, 3, 45])
def test_a_large_image_is_rotated_without_seams(degrees: float) -> None:
    def waves(rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return 127 + 127 * np.sin(rows / 12) * np.cos(columns / 12)

    size = 1100  # more than the side of the tiles that a rotated image is computed in
    rows, columns = np.indices((size, size)).astype(float)
    pixels = np.repeat(waves(rows, columns).round().astype(np.uint8)[..., None], 3, axis=-1)
    view = apply_change(pixels, NO_CHANGE._replace(degrees=degrees))
    cosine, sine, centre = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), (size - 1) / 2
    down, right = rows - centre, columns - centre
    source_rows, source_columns = centre + cosine * down + sine * right, centre + cosine * right - sine * down
    inside = (np.abs(source_rows - centre) < centre) & (np.abs(source_columns - centre) < centre)
    assert inside.mean() > 0.8
    assert np.abs(view[..., 0] - waves(source_rows, source_columns))[inside].max() < 2


@given(shapes, specs, numbers, st.integers(0, 255))
def test_geometry_leaves_a_uniform_image_uniform_without_dark_corners(
    shape: tuple[int, int], spec: AugmentationSpec, number: int, value: int
) -> None:
    spec = spec._replace(brightness=0, contrast=0, colour=0)
    assert (make_view(np.full((*shape, 3), value, np.uint8), DIGESTS[0], number, 0, spec) == value).all()


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1), (2, 10_000)], ids=shape_id)
def test_a_long_thin_image_is_rotated_in_little_memory(shape: tuple[int, int]) -> None:
    tracemalloc.start()
    view = apply_change(np.full((*shape, 3), 9, np.uint8), NO_CHANGE._replace(degrees=45))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (view.shape, np.unique(view).tolist()) == ((*shape, 3), [9])
    assert peak < 20e6  # the bounding box of the rotated window would take 600 MB


# Brightness, contrast, colour


@pytest.mark.parametrize(
    ("before", "brightness", "contrast", "colour", "after"),
    [
        pytest.param(greys(100), 1.2, 1, 1, greys(120), id="brighter"),
        pytest.param(greys(101), 0.5, 1, 1, greys(51), id="darker, rounded"),
        pytest.param(greys(200), 2, 1, 1, greys(255), id="clipped at white"),
        pytest.param(greys(0, 100, 200), 1, 0.5, 1, greys(50, 100, 150), id="less contrast"),
        pytest.param(greys(0, 100, 200), 1, 1.5, 1, greys(0, 100, 250), id="more contrast, clipped at black"),
        pytest.param(greys(70), 1, 1.9, 1, greys(70), id="contrast of a uniform image"),
        pytest.param(greys(0, 100, 200), 1, 1, 1.9, greys(0, 100, 200), id="colour of greys"),
        pytest.param(greys(100, 200), 2, 0.5, 1, greys(250, 255), id="not clipped between brightness and contrast"),
        pytest.param(pixel(255, 0, 0), 1, 1, 0, greys(76), id="red without colour"),  # 255 x 0.299
        pytest.param(pixel(255, 0, 0), 1, 1, 0.5, pixel(166, 38, 38), id="red with less colour"),
        pytest.param(pixel(255, 0, 0), 0.5, 1, 2, pixel(217, 0, 0), id="darker red with more colour"),
        pytest.param(pixel(100, 150, 200), 1, 0.5, 1, pixel(120, 145, 170), id="contrast of a coloured pixel"),
    ],
)
def test_tones_change_by_exact_amounts(
    before: Pixels, brightness: float, contrast: float, colour: float, after: Pixels
) -> None:
    view = apply_change(before, NO_CHANGE._replace(brightness=brightness, contrast=contrast, colour=colour))
    np.testing.assert_array_equal(view, after)


@given(st.integers(0, 99), factors, factors, factors)
def test_tones_equal_the_three_steps_without_rounding_between_them(
    seed: int, brightness: float, contrast: float, colour: float
) -> None:
    pixels = noise(seed, 5, 7)
    values = pixels * brightness
    mean = (values @ LUMA).mean()
    values = mean + contrast * (values - mean)
    grey = (values @ LUMA)[..., None]
    expected = np.clip(grey + colour * (values - grey), 0, 255)
    view = apply_change(pixels, NO_CHANGE._replace(brightness=brightness, contrast=contrast, colour=colour))
    assert np.abs(view - expected).max() <= 0.501


# Identity


def test_the_identity_changes_with_every_key_and_the_seed() -> None:
    others = [FULL._replace(**{name: getattr(OFF, name)}) for name in AugmentationSpec._fields]
    identities = [identity(FULL, 0), identity(FULL, 1), *(identity(spec, 0) for spec in others)]
    assert len(set(identities)) == 2 + len(AugmentationSpec._fields)
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in identities)


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [pytest.param(augmentation, "VERSION", 999, id="algorithm"), pytest.param(PIL, "__version__", "99.0", id="Pillow")],
)
def test_the_identity_changes_with_the_versions_of_the_algorithm_and_of_pillow(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, value: object
) -> None:
    before = identity(FULL, 0)
    monkeypatch.setattr(owner, name, value)
    assert identity(FULL, 0) != before


def test_the_identity_is_the_same_for_integers_and_equal_floats() -> None:
    assert identity(OFF._replace(crop=1, rotation=15), 0) == identity(OFF._replace(crop=1.0, rotation=15.0), 0)
