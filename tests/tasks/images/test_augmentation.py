import math
import os
import re
import subprocess
import sys
import tracemalloc
from hashlib import sha256
from itertools import combinations

import numpy as np
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
NONE = Change(
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
PICTURE = noise(0, 24, 40)
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


def marked(height: int, width: int) -> Pixels:
    """Return pixels that tell their own row and column."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)


def whiteness(pixels: Pixels) -> tuple[float, float]:
    """Return the middle of what is white, as row and column."""
    weights = pixels[..., 0].astype(float)
    rows, columns = np.indices(weights.shape)
    return (rows * weights).sum() / weights.sum(), (columns * weights).sum() / weights.sum()


def row(*greys: int) -> Pixels:
    """Return one row of grey pixels."""
    return np.array([[[grey] * 3 for grey in greys]], np.uint8)


RED = np.array([[[255, 0, 0]]], np.uint8)


# What a view is


@given(shapes, specs, numbers, st.integers(0, 2**32))
def test_a_view_is_an_image_and_is_made_the_same_again(
    shape: tuple[int, int], spec: AugmentationSpec, number: int, seed: int
) -> None:
    pixels = noise(1, *shape)
    before = pixels.copy()
    found = make_view(pixels, DIGESTS[0], number, seed, spec)
    assert found.dtype == np.uint8
    assert (found.ndim, found.shape[2], min(found.shape) >= 1, found.flags.c_contiguous) == (3, 3, True, True)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(make_view(pixels, DIGESTS[0], number, seed, spec), found)


def test_view_zero_is_the_very_image() -> None:
    assert make_view(PICTURE, DIGESTS[0], 0, 0, FULL) is PICTURE


@pytest.mark.parametrize("shape", SHAPES)
def test_with_everything_off_every_view_equals_its_image(shape: tuple[int, int]) -> None:
    pixels = noise(2, *shape)
    for number in range(1, 4):
        np.testing.assert_array_equal(make_view(pixels, DIGESTS[0], number, 0, OFF), pixels)


def test_pixels_that_are_read_only_or_not_contiguous_will_do() -> None:
    pixels = noise(3, 60, 60)[::2, ::-3]
    pixels.flags.writeable = False
    for number in range(1, 9):
        np.testing.assert_array_equal(
            make_view(pixels, DIGESTS[0], number, 0, FULL), make_view(pixels.copy(), DIGESTS[0], number, 0, FULL)
        )


SCRIPT = """
import sys
from hashlib import sha256
from tests.tasks.common.test_augmentation import table
for line in table(backwards=sys.argv[1] == "backwards"):
    print(*line)
"""


def table(*, backwards: bool) -> list[tuple[str, str]]:
    """Return the hash of several views of several images, made in one order or the other."""
    cases = [(shape, number, spec) for shape in SHAPES for number in range(4) for spec in (OFF, FULL)]
    lines = []
    for shape, number, spec in reversed(cases) if backwards else cases:
        found = make_view(noise(sum(shape), *shape), DIGESTS[sum(shape) % 9], number, 7, spec)
        name = f"{shape}{number}{identity(spec, 7)}{found.shape}".replace(" ", "")
        lines.append((name, sha256(found.tobytes()).hexdigest()))
    return sorted(lines)


def test_other_processes_in_another_order_make_the_same_bytes() -> None:
    def run(order: str, hash_seed: str) -> str:
        command = [sys.executable, "-c", SCRIPT, order]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    here = "".join(f"{name} {digest}\n" for name, digest in table(backwards=False))
    assert run("forwards", "1") == run("backwards", "2") == here


# What is drawn


def test_views_of_one_image_differ_pairwise() -> None:
    views = [make_view(PICTURE, DIGESTS[0], number, 0, FULL) for number in range(40)]
    assert not any(np.array_equal(first, second) for first, second in combinations(views, 2))


def test_images_numbers_and_seeds_each_have_draws_of_their_own() -> None:
    drawn = [
        draw_change(digest, number, seed, FULL)
        for digest in DIGESTS[:10]
        for number in (1, 2, 12)
        for seed in (0, 1, 21)
    ]
    for values in zip(*drawn, strict=True):
        assert len(set(values)) == (2 if isinstance(values[0], bool) else len(drawn))


@pytest.mark.parametrize("name", AugmentationSpec._fields)
def test_an_effect_switched_off_leaves_the_others_as_they_were(name: str) -> None:
    own = {"horizontal_flip": {"mirror"}, "vertical_flip": {"flip"}, "rotation": {"degrees"}, "zoom": {"scale"}}
    # Where a crop lies is drawn too, but means nothing when all is kept.
    mine = own.get(name, {"height", "width"} if name == "crop" else {name})
    digest = next(digest for digest in DIGESTS if all(draw_change(digest, 1, 0, FULL)[:2]))  # flipped both ways
    with_it = draw_change(digest, 1, 0, FULL)
    without = draw_change(digest, 1, 0, FULL._replace(**{name: getattr(OFF, name)}))
    changed = {field for field in Change._fields if getattr(with_it, field) != getattr(without, field)}
    assert changed == mine
    assert all(getattr(without, field) == getattr(NONE, field) for field in mine)


@given(specs, st.sampled_from(DIGESTS), st.integers(1, 10**6))
def test_what_is_drawn_keeps_to_the_spec(spec: AugmentationSpec, digest: str, number: int) -> None:
    change = draw_change(digest, number, 0, spec)
    assert spec.horizontal_flip or not change.mirror
    assert spec.vertical_flip or not change.flip
    assert spec.crop <= change.height * change.width + 1e-12
    assert max(change.height, change.width) <= 1
    assert 3 / 4 - 1e-12 <= change.width / change.height <= 4 / 3 + 1e-12
    assert 0 <= min(change.top, change.left) <= max(change.top, change.left) < 1
    assert abs(change.degrees) <= spec.rotation
    for name, factor in {"zoom": change.scale, **change._asdict()}.items():
        if name in {"zoom", "brightness", "contrast", "colour"}:
            amount = getattr(spec, name)
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
def test_what_is_drawn_is_spread_evenly_over_its_range(field: str, least: float, most: float) -> None:
    drawn = [getattr(draw_change(digest, number, 0, FULL), field) for digest in DIGESTS for number in range(1, 9)]
    counts, _ = np.histogram(drawn, bins=10, range=(least, most))
    assert counts.sum() == 2000
    assert np.abs(counts - 200).max() < 60  # more than four standard deviations


def test_the_area_of_crops_is_spread_evenly_and_their_aspect_leans_to_neither_side() -> None:
    drawn = [draw_change(digest, number, 0, FULL) for digest in DIGESTS for number in range(1, 9)]
    counts, _ = np.histogram([change.height * change.width for change in drawn], bins=10, range=(0.5, 1))
    assert np.abs(counts - 200).max() < 60
    assert abs(np.mean([math.log(change.width / change.height) for change in drawn])) < 0.02


@pytest.mark.parametrize("field", ["mirror", "flip"])
def test_half_of_the_views_are_flipped(field: str) -> None:
    drawn = [getattr(draw_change(digest, number, 0, FULL), field) for digest in DIGESTS for number in range(1, 9)]
    assert 900 < sum(drawn) < 1100


# Geometry


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("mirror", "flip"), [(True, False), (False, True), (True, True)])
def test_flips_are_exact_mirror_images(shape: tuple[int, int], mirror: bool, flip: bool) -> None:
    pixels = noise(4, *shape)
    expected = pixels[:: -1 if flip else 1, :: -1 if mirror else 1]
    np.testing.assert_array_equal(apply_change(pixels, NONE._replace(mirror=mirror, flip=flip)), expected)


@pytest.mark.parametrize(
    ("height", "width", "top", "left", "rows", "columns"),
    [
        (1, 1, 0.9, 0.9, slice(0, 24), slice(0, 40)),
        (0.5, 1, 0, 0, slice(0, 12), slice(0, 40)),
        (0.5, 0.25, 0.999, 0.999, slice(12, 24), slice(30, 40)),
        (0.5, 0.5, 0.5, 0.5, slice(6, 18), slice(10, 30)),
        (0.51, 0.501, 0, 0, slice(0, 13), slice(0, 21)),
        (0.001, 0.001, 0, 0.999, slice(0, 1), slice(39, 40)),
    ],
)
def test_a_crop_is_an_exact_part(
    height: float, width: float, top: float, left: float, rows: slice, columns: slice
) -> None:
    change = NONE._replace(height=height, width=width, top=top, left=left)
    np.testing.assert_array_equal(apply_change(PICTURE, change), PICTURE[rows, columns])


@given(shapes, st.floats(0.01, 1), st.integers(1, 10**6))
def test_a_cropped_view_is_a_part_of_its_image_and_as_large_as_asked(
    shape: tuple[int, int], crop: float, number: int
) -> None:
    pixels = marked(*shape)
    assume(max(shape) < 256)
    found = make_view(pixels, DIGESTS[0], number, 0, OFF._replace(crop=crop))
    assert found.shape[0] * found.shape[1] >= crop * shape[0] * shape[1] - 1e-9
    top, left, _ = found[0, 0].tolist()
    np.testing.assert_array_equal(found, pixels[top : top + found.shape[0], left : left + found.shape[1]])


def test_crops_reach_every_edge() -> None:
    pixels = marked(24, 40)
    views = [make_view(pixels, digest, 1, 0, OFF._replace(crop=0.5)) for digest in DIGESTS]
    corners = [
        (int(found[0, 0, 0]), int(found[0, 0, 1]), int(found[-1, -1, 0]), int(found[-1, -1, 1])) for found in views
    ]
    tops, lefts, bottoms, rights = zip(*corners, strict=True)
    assert (min(tops), min(lefts), max(bottoms), max(rights)) == (0, 0, 23, 39)


@pytest.mark.parametrize("shape", [(24, 40), (25, 39), (1, 1), (2, 2), (1, 8), (8, 1), (2, 80)])
def test_nearer_is_the_middle_alone_and_farther_goes_on_mirrored(shape: tuple[int, int]) -> None:
    pixels = noise(5, *shape)
    near, far = apply_change(pixels, NONE._replace(scale=2.0)), apply_change(pixels, NONE._replace(scale=0.625))
    tops = [(size - max(1, round(size / 2))) // 2 for size in shape]
    np.testing.assert_array_equal(near, pixels[tops[0] : tops[0] + near.shape[0], tops[1] : tops[1] + near.shape[1]])
    assert near.shape[:2] == tuple(max(1, round(size / 2)) for size in shape)
    assert far.shape[:2] == tuple(round(size / 0.625) for size in shape)
    more = [
        (-((size - length) // 2), length - size + (size - length) // 2)
        for size, length in zip(shape, far.shape, strict=False)
    ]
    np.testing.assert_array_equal(far, np.pad(pixels, [*more, (0, 0)], mode="reflect"))


@pytest.mark.parametrize("scale", [0.1, 0.125, 0.25, 0.5])
def test_seen_from_far_away_an_image_is_averaged_so_that_the_view_stays_small(scale: float) -> None:
    cell = round(1 / scale)
    cells = noise(8, 6, 10)
    found = apply_change(cells.repeat(cell, axis=0).repeat(cell, axis=1), NONE._replace(scale=scale))
    assert found.shape == (6 * cell, 10 * cell, 3)
    down, across = ((cell - 1) * size / 2 for size in (6, 10))
    margins = [(math.ceil(down), math.floor(down)), (math.ceil(across), math.floor(across)), (0, 0)]
    np.testing.assert_array_equal(found, np.pad(cells, margins, mode="reflect"))


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, (13, 20)),
        (90, (20, 13)),
        (-90, (20, 27)),
        (180, (27, 20)),
        (45, (20 - 7 * math.sqrt(0.5), 20 - 7 * math.sqrt(0.5))),
        (-30, (20 - 7 * math.cos(math.pi / 6), 23.5)),
    ],
)
@pytest.mark.parametrize("tile", [augmentation.TILE, 7])
def test_a_turned_marker_is_where_it_should_be(
    monkeypatch: pytest.MonkeyPatch, degrees: float, expected: tuple[float, float], tile: int
) -> None:
    monkeypatch.setattr(augmentation, "TILE", tile)
    pixels = np.zeros((41, 41, 3), np.uint8)
    pixels[12:15, 19:22] = 255
    found = apply_change(pixels, NONE._replace(degrees=degrees))
    assert found.shape == (41, 41, 3)
    assert whiteness(found) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("change", "marker", "expected"),
    [
        (NONE._replace(mirror=True), (10, 25), (25, 10)),
        (NONE._replace(flip=True), (10, 25), (15, 30)),
        (NONE._replace(height=0.5, width=0.5, top=0, left=0.99), (5, 35), (5, 5)),
        (NONE._replace(scale=2), (14, 25), (4, 4)),
    ],
)
def test_a_flip_comes_before_a_turn_which_is_about_the_middle_of_the_window(
    change: Change, marker: tuple[int, int], expected: tuple[int, int]
) -> None:
    pixels = np.zeros((41, 41, 3), np.uint8)
    pixels[marker] = 255
    assert whiteness(apply_change(pixels, change._replace(degrees=90))) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_of_a_square_are_exact_but_for_rounding(turns: int) -> None:
    pixels = noise(6, 33, 33)
    found = apply_change(pixels, NONE._replace(degrees=90 * turns)).astype(int)
    assert np.abs(found - np.rot90(pixels, turns)).max() <= 1


@pytest.mark.parametrize("degrees", [-170, -20, 3, 45, 90, 133])
def test_tiles_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch, degrees: float) -> None:
    change = NONE._replace(degrees=degrees, height=0.8, width=0.9, top=0.9, left=0.9, scale=0.9, mirror=True)
    whole = apply_change(PICTURE, change)
    monkeypatch.setattr(augmentation, "TILE", 7)
    assert np.abs(apply_change(PICTURE, change).astype(int) - whole).max() <= 1


@given(shapes, specs, numbers, st.integers(0, 255))
def test_geometry_leaves_a_plain_surface_plain_without_dark_corners(
    shape: tuple[int, int], spec: AugmentationSpec, number: int, value: int
) -> None:
    spec = spec._replace(brightness=0, contrast=0, colour=0)
    assert (make_view(np.full((*shape, 3), value, np.uint8), DIGESTS[0], number, 0, spec) == value).all()


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1), (2, 10_000)])
def test_a_long_thin_image_is_turned_in_little_memory(shape: tuple[int, int]) -> None:
    tracemalloc.start()
    found = apply_change(np.full((*shape, 3), 9, np.uint8), NONE._replace(degrees=45))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.shape, np.unique(found).tolist()) == ((*shape, 3), [9])
    assert peak < 20e6  # the box around the turned window would take 600 MB


# Brightness, contrast, colour


@pytest.mark.parametrize(
    ("before", "brightness", "contrast", "colour", "after"),
    [
        (row(100), 1.2, 1, 1, row(120)),
        (row(101), 0.5, 1, 1, row(51)),
        (row(200), 2, 1, 1, row(255)),
        (row(0, 100, 200), 1, 0.5, 1, row(50, 100, 150)),
        (row(0, 100, 200), 1, 1.5, 1, row(0, 100, 250)),
        (row(70), 1, 1.9, 1, row(70)),
        (row(0, 100, 200), 1, 1, 1.9, row(0, 100, 200)),
        (row(100, 200), 2, 0.5, 1, row(250, 255)),  # 250, 350: not clipped in between
        (RED, 1, 1, 0, row(76)),  # 255 x 0.299
        (RED, 1, 1, 0.5, np.array([[[166, 38, 38]]], np.uint8)),
        (RED, 0.5, 1, 2, np.array([[[217, 0, 0]]], np.uint8)),
        (np.array([[[100, 150, 200]]], np.uint8), 1, 0.5, 1, np.array([[[120, 145, 170]]], np.uint8)),
    ],
)
def test_values_are_multiplied_then_spread_then_coloured(
    before: Pixels, brightness: float, contrast: float, colour: float, after: Pixels
) -> None:
    found = apply_change(before, NONE._replace(brightness=brightness, contrast=contrast, colour=colour))
    np.testing.assert_array_equal(found, after)


@given(st.integers(0, 99), factors, factors, factors)
def test_tones_are_those_of_the_three_steps_without_rounding_between_them(
    seed: int, brightness: float, contrast: float, colour: float
) -> None:
    pixels = noise(seed, 5, 7)
    values = pixels * brightness
    mean = (values @ LUMA).mean()
    values = mean + contrast * (values - mean)
    grey = (values @ LUMA)[..., None]
    expected = np.clip(grey + colour * (values - grey), 0, 255)
    found = apply_change(pixels, NONE._replace(brightness=brightness, contrast=contrast, colour=colour))
    assert np.abs(found - expected).max() <= 0.501


# Identity


def test_the_identity_changes_with_every_key_and_the_seed() -> None:
    others = [FULL._replace(**{name: getattr(OFF, name)}) for name in AugmentationSpec._fields]
    found = [identity(FULL, 0), identity(FULL, 1), *(identity(spec, 0) for spec in others)]
    assert len(set(found)) == 2 + len(AugmentationSpec._fields)
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in found)


@pytest.mark.parametrize(("owner", "name", "value"), [(augmentation, "VERSION", 999), (PIL, "__version__", "99.0")])
def test_the_identity_changes_with_the_algorithm_and_with_pillow(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, value: object
) -> None:
    before = identity(FULL, 0)
    monkeypatch.setattr(owner, name, value)
    assert identity(FULL, 0) != before


def test_the_identity_does_not_tell_whole_numbers_from_floats() -> None:
    assert identity(OFF._replace(crop=1, rotation=15), 0) == identity(OFF._replace(crop=1.0, rotation=15.0), 0)
