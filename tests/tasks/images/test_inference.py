import shutil
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.common.errors import GraftError
from tasks.images.decoding import Pixels, decode
from tasks.images.inference import Array, Batch, Inference, Item, require_all
from tasks.images.preprocessing import Preprocessing
from tasks.images.resized import ResizedPixels
from tasks.store import Store
from tasks.store.usage import usage
from tests.tasks.conftest import noise

COUNT = 7


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Write small images of different sizes and return an item for each, with its hash."""
    items = []
    for number in range(COUNT):
        path = tmp_path / f"{number}.png"
        Image.fromarray(noise(number, 3 + number, 9 - number)).save(path)
        items.append(Item(path.name, sha256(path.read_bytes()).hexdigest()))
    return items


def summarize(pixels: Pixels, item: Item) -> Array:
    """Return the height, the width, the sum of the pixels and the view."""
    return np.array([*pixels.shape[:2], pixels.sum(), item.view])


def forward(batch: Array) -> list[Array]:
    """Return two outputs: the batch, and the sum of each of its rows."""
    return [batch, batch.sum(axis=1)]


def run(
    root: Path,
    items: Sequence[Item],
    batch_size: int = 3,
    workers: int = 2,
    prepare: Callable[[Pixels, Item], Array] = summarize,
) -> list[Batch]:
    """Return all batches of `items`."""
    return list(Inference(root, prepare, forward).run(items, batch_size, workers))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [
        pytest.param(1, [1] * 7, id="single items"),
        pytest.param(3, [3, 3, 1], id="the last batch is smaller"),
        pytest.param(7, [7], id="exactly a batch"),
        pytest.param(99, [7], id="less than a batch"),
    ],
)
def test_batches_follow_the_order_of_the_items(
    tmp_path: Path, items: list[Item], workers: int, batch_size: int, sizes: list[int]
) -> None:
    batches = run(tmp_path, items, batch_size, workers)
    assert [(batch.size, len(batch)) for batch in batches] == [(size, size) for size in sizes]
    assert [item for batch in batches for item in batch.items] == items
    assert [batch.refused for batch in batches] == [{}] * len(sizes)
    expected = np.array([[3 + n, 9 - n, noise(n, 3 + n, 9 - n).sum(), 0] for n in range(COUNT)])
    np.testing.assert_array_equal(np.concatenate([batch.outputs[0] for batch in batches]), expected)
    np.testing.assert_array_equal(np.concatenate([batch.outputs[1] for batch in batches]), expected.sum(axis=1))


def test_without_items_there_are_no_batches(tmp_path: Path) -> None:
    assert run(tmp_path, []) == []


def test_each_view_has_a_row_and_consecutive_views_share_the_decoded_pixels(tmp_path: Path, items: list[Item]) -> None:
    decoded: list[Pixels] = []

    def prepare(pixels: Pixels, item: Item) -> Array:
        decoded.append(pixels)
        return summarize(pixels, item)

    views = [item._replace(view=view) for item in items[:2] for view in (0, 1, 5)]
    (batch,) = run(tmp_path, views, batch_size=6, prepare=prepare)
    assert batch.items == views
    assert batch.outputs[0][:, 3].tolist() == [0, 1, 5, 0, 1, 5]
    assert len({id(pixels) for pixels in decoded}) == 2


def vanish(path: Path) -> None:
    path.unlink()


def change(path: Path) -> None:
    Image.new("RGB", (2, 2)).save(path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def test_a_vanished_or_changed_image_is_refused_alone_with_its_reason(tmp_path: Path, items: list[Item]) -> None:
    vanish(tmp_path / "1.png")
    change(tmp_path / "2.png")
    first, second = run(tmp_path, items, batch_size=4)
    assert (first.size, first.items) == (4, [items[0], items[3]])
    assert first.refused == {
        "1.png": "cannot be read: No such file or directory",
        "2.png": "changed since it was scanned",
    }
    assert first.outputs[0][:, 0].tolist() == [3, 6]
    assert (second.items, second.refused) == (items[4:], {})


def test_a_damaged_image_is_refused_with_the_reason_of_its_decoder(tmp_path: Path, items: list[Item]) -> None:
    truncate(tmp_path / "0.png")
    damaged = Item("0.png", sha256((tmp_path / "0.png").read_bytes()).hexdigest())
    (batch,) = run(tmp_path, [damaged, items[1]])
    assert batch.items == [items[1]]
    assert list(batch.refused) == ["0.png"]
    assert batch.refused["0.png"].startswith("damaged: ")


def test_the_hash_of_an_item_without_one_is_not_checked(tmp_path: Path, items: list[Item]) -> None:
    change(tmp_path / "0.png")
    (batch,) = run(tmp_path, [Item(items[0].path)])
    assert (batch.outputs[0].tolist(), batch.refused) == ([[2, 2, 0, 0]], {})


def test_an_image_is_refused_once_for_all_its_views_in_every_batch_that_has_some(
    tmp_path: Path, items: list[Item]
) -> None:
    vanish(tmp_path / "0.png")
    views = [items[0]._replace(view=view) for view in range(3)]
    first, second = run(tmp_path, [*views, items[1]], batch_size=2)
    reason = {"0.png": "cannot be read: No such file or directory"}
    assert (first.size, first.items, first.refused) == (2, [], reason)
    assert (second.size, second.items, second.refused) == (2, [items[1]], reason)


def test_a_batch_of_refused_images_has_no_outputs_and_does_not_run_the_network(tmp_path: Path) -> None:
    def unreachable(batch: Array) -> list[Array]:
        raise AssertionError(batch)

    (batch,) = Inference(tmp_path, summarize, unreachable).run([Item("a.png"), Item("b.png")], 2, workers=1)
    assert (batch.size, batch.items, batch.outputs, list(batch.refused)) == (2, [], [], ["a.png", "b.png"])


def test_a_defect_of_the_network_reaches_the_caller(tmp_path: Path, items: list[Item]) -> None:
    def fail(batch: Array) -> list[Array]:
        raise ZeroDivisionError(batch.shape)

    with pytest.raises(ZeroDivisionError):
        list(Inference(tmp_path, summarize, fail).run(items, 3, workers=2))


def test_at_most_two_batches_a_worker_are_computed_ahead(tmp_path: Path, items: list[Item]) -> None:
    prepared: list[Item] = []

    def prepare(pixels: Pixels, item: Item) -> Array:
        prepared.append(item)
        return summarize(pixels, item)

    batches = Inference(tmp_path, prepare, forward).run(items * 20, 1, workers=2)
    for received, _ in enumerate(batches, start=1):
        assert len(prepared) <= received + 4
    assert len(prepared) == 20 * COUNT


def test_batches_without_refused_images_pass_unchanged(tmp_path: Path, items: list[Item]) -> None:
    batches = run(tmp_path, items)
    assert list(require_all(batches, tmp_path)) == batches


def test_the_first_refused_image_ends_a_run_that_needs_all(tmp_path: Path, items: list[Item]) -> None:
    vanish(tmp_path / "4.png")
    vanish(tmp_path / "5.png")
    batches = require_all(run(tmp_path, items), tmp_path)
    assert next(batches).items == items[:3]
    with pytest.raises(GraftError) as caught:
        next(batches)
    assert str(caught.value) == (
        f"{tmp_path / '4.png'} cannot be read: No such file or directory. Run `dvc repro` to scan the images again."
    )


SIZE = 8
PREPROCESSING = Preprocessing(SIZE, "1" * 64, "2" * 64, "a resize of these tests")


class Cached:
    """Runs inference on photographs with a store in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        """Write two photographs and a thumbnail, all JPEG files."""
        self.photos, self.store = folder / "photos", Store(folder / "store")
        self.items: list[Item] = []
        self.photos.mkdir()
        for number, (height, width) in enumerate([(40, 50), (48, 32), (SIZE, 2 * SIZE)]):
            path = self.photos / f"{number}.jpg"
            Image.fromarray(noise(number, height, width)).save(path)
            digest = sha256(path.read_bytes()).hexdigest()
            self.items += [Item(path.name, digest, view, number != 1) for view in (range(2) if number != 1 else [0])]

    def __call__(self) -> list[Batch]:
        """Return the batches of all items with two rows each; the outputs are the resized pixels."""

        def resize(pixels: Pixels, item: Item) -> Array:
            """Resize, and darken views."""
            return np.asarray(Image.fromarray(pixels >> item.view).resize((SIZE, SIZE)))

        resized = ResizedPixels(self.store, PREPROCESSING)
        inference = Inference(self.photos, resize, lambda batch: [batch], PREPROCESSING.min_side, resized)
        return list(inference.run(self.items, 2, workers=2))


@pytest.fixture
def cached(tmp_path: Path) -> Cached:
    return Cached(tmp_path)


def outputs(batches: list[Batch]) -> Array:
    return np.concatenate([batch.outputs[0] for batch in batches if batch.items])


def test_scaled_items_are_decoded_at_a_reduced_scale_and_the_others_exactly(cached: Cached) -> None:
    reduced, exact = cached.items[0], cached.items[2]
    rows = outputs(cached())
    for row, item, min_side in ((rows[0], reduced, 2 * SIZE), (rows[2], exact, None)):
        pixels = decode((cached.photos / item.path).read_bytes(), min_side=min_side).pixels
        np.testing.assert_array_equal(row, np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE))))
    assert decode((cached.photos / reduced.path).read_bytes(), min_side=2 * SIZE).pixels.shape == (20, 25, 3)


def test_photographs_are_opened_once_and_small_images_each_time(cached: Cached) -> None:
    before = outputs(cached())
    assert sum(row.entries for row in usage(cached.store)) == 3  # the thumbnail's two views are not kept
    shutil.rmtree(cached.photos)
    batches = cached()
    np.testing.assert_array_equal(outputs(batches), before[:3])
    assert {path: reason for batch in batches for path, reason in batch.refused.items()} == {
        "2.jpg": "cannot be read: No such file or directory"
    }


def test_a_view_that_the_store_lacks_is_made_from_the_file(cached: Cached) -> None:
    items, cached.items = cached.items, [cached.items[0]]
    plain = outputs(cached())
    cached.items = items
    with_stored = outputs(cached())
    shutil.rmtree(cached.store.name)
    np.testing.assert_array_equal(outputs(cached()), with_stored)
    np.testing.assert_array_equal(with_stored[:1], plain)


def test_damaged_pixels_are_made_again(cached: Cached) -> None:
    before = outputs(cached())
    for path in Path(cached.store.name).rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-9] + b"any bytes")
    np.testing.assert_array_equal(outputs(cached()), before)
    shutil.rmtree(cached.photos)
    np.testing.assert_array_equal(outputs(cached()), before[:3])
