from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.images import resized
from tasks.images.decoding import Pixels
from tasks.images.preprocessing import Mask, Preprocessing
from tasks.images.resized import ResizedPixels, from_row, to_row
from tasks.store import Keys, Store
from tasks.store.usage import usage
from tests.tasks.conftest import noise
from tests.tasks.store.helpers import make_keys

PREPROCESSING = Preprocessing(4, "1" * 64, "2" * 64, "onnxruntime 1.32.0")
COUNT = 6
KEYS = Keys(make_keys(COUNT).images, np.array([0, 1, 2, 0, 0, 1], np.uint16))
SCALED = np.array([True, True, True, True, False, False])
PIXELS = [noise(number, 4, 4) for number in range(COUNT)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def kept(store: Store, keys: Keys = KEYS, scaled: Mask = SCALED) -> list[Pixels | None]:
    """Return the pixels that a new reader finds for these keys."""
    rows = ResizedPixels(store, PREPROCESSING).find(keys, scaled)
    return [None if row is None else from_row(row) for row in rows]


def keep(store: Store, selected: slice = slice(None)) -> None:
    pixels = ResizedPixels(store, PREPROCESSING)
    pixels.keep(KEYS.take(selected), SCALED[selected], [to_row(image) for image in PIXELS[selected]])
    pixels.flush()


@given(st.integers(1, 9).flatmap(lambda size: arrays(np.uint8, (size, size, 3))))
def test_pixels_come_back_from_their_row(pixels: Pixels) -> None:
    before = pixels.copy()
    row = to_row(pixels)
    assert row.dtype == np.uint8
    assert row.shape == (pixels.size,)
    np.testing.assert_array_equal(from_row(row), pixels)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize(
    ("width", "height", "is_expensive"),
    [
        pytest.param(4032, 3024, True, id="12 megapixels"),
        pytest.param(800, 502, True, id="just 8 times the pixels"),
        pytest.param(500, 375, False, id="a usual photo of the web"),
        pytest.param(64, 64, False, id="a thumbnail"),
        pytest.param(1, 1, False, id="a pixel"),
    ],
)
def test_only_images_that_take_long_to_decode_are_kept(
    store: Store, width: int, height: int, is_expensive: bool
) -> None:
    assert ResizedPixels(store, PREPROCESSING._replace(size=224)).is_expensive(width, height) is is_expensive


@pytest.mark.parametrize("segment_bytes", [1, 2 * 48, 1 << 20], ids=["a row a segment", "two rows", "all rows"])
def test_pixels_are_found_by_image_view_and_way_of_decoding(
    store: Store, monkeypatch: pytest.MonkeyPatch, segment_bytes: int
) -> None:
    monkeypatch.setattr(resized, "SEGMENT_BYTES", segment_bytes)
    assert kept(store) == [None] * COUNT
    keep(store)
    for found, pixels in zip(kept(store), PIXELS, strict=True):
        assert found is not None
        np.testing.assert_array_equal(found, pixels)
    assert kept(store, scaled=~SCALED) == [None] * COUNT
    assert kept(store, KEYS._replace(views=KEYS.views + np.uint16(7))) == [None] * COUNT
    assert sorted(row.entries for row in usage(store)) == [1, 1, 2, 2]


def test_those_that_the_store_has_are_found_among_others(store: Store) -> None:
    keep(store, slice(1, 4))
    assert [pixels is not None for pixels in kept(store)] == [False, True, True, True, False, False]


def test_what_is_not_enough_for_a_segment_is_written_at_the_end(store: Store) -> None:
    pixels = ResizedPixels(store, PREPROCESSING)
    pixels.keep(KEYS, SCALED, [to_row(image) for image in PIXELS])
    assert usage(store) == []
    pixels.flush()
    pixels.flush()
    assert sum(row.entries for row in usage(store)) == COUNT


def test_a_damaged_file_is_named_and_its_pixels_are_missing_until_they_are_kept_again(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(store)
    damaged, *_ = paths = sorted(Path(store.name).rglob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    lacking = [pixels is None for pixels in kept(store)]
    assert 0 < sum(lacking) < COUNT
    assert capsys.readouterr().err == f"store: {damaged} is ignored: its bytes do not match its name\n"
    keep(store)
    assert None not in [pixels if pixels is None else 0 for pixels in kept(store)]
    assert sorted(Path(store.name).rglob("*.safetensors")) == paths


def test_threads_share_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resized, "SEGMENT_BYTES", 2 * 48)
    shared = ResizedPixels(store, PREPROCESSING)

    def work(number: int) -> None:
        keys = KEYS._replace(images=(KEYS.images + np.uint8(number)))
        shared.find(keys, SCALED)
        shared.keep(keys, SCALED, [to_row(image) for image in PIXELS])
        shared.flush()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(40)))
    assert sum(row.entries for row in usage(store)) == 40 * COUNT
