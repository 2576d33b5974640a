from pathlib import Path

import numpy as np
import onnx
import pytest

from tasks.common.errors import GraftError
from tasks.common.params import Params
from tasks.extraction.recipe import read_augmentation
from tasks.finetuning.batches import epoch_order, one_hot
from tasks.finetuning.live_batches import LiveBatches, pixel_inference
from tasks.images.augmentation import make_view
from tasks.images.decoding import read
from tasks.images.inference import Item
from tasks.onnx.resizing import resize_session
from tasks.store import Store
from tests.tasks.finetuning.small_inputs import write_images

TARGETS = one_hot(np.arange(8) % 2, 2)


@pytest.fixture
def live(tmp_path: Path, backbone: Path, settings: Params) -> tuple[LiveBatches, list[Item]]:
    images = [Item(row.path, row.sha256, scaled=True) for row in write_images(tmp_path / "photos")[:8]]
    graph = onnx.load(backbone / "backbone.onnx")
    inference = pixel_inference(
        tmp_path / "photos", graph, read_augmentation(settings.augmentation), Store(tmp_path / "store")
    )
    return LiveBatches(images, TARGETS, inference, batch_size=3, seed=4), images


def test_in_every_epoch_each_image_comes_once_in_the_view_of_that_number(
    live: tuple[LiveBatches, list[Item]], tmp_path: Path, backbone: Path, settings: Params
) -> None:
    batches, images = live
    resize = resize_session(onnx.load(backbone / "backbone.onnx"))
    views = read_augmentation(settings.augmentation)
    assert len(batches) == 3
    for epoch in (1, 2):
        rows = epoch_order(8, 4, epoch)
        expected = []
        for row in rows.tolist():
            pixels = read(tmp_path / "photos" / images[row].path)
            view = make_view(pixels, images[row].sha256, epoch, views.seed, views.spec)
            expected.append(resize(view[None])[0])
        epoch_batches = list(batches.epoch(epoch))
        assert [len(batch.targets) for batch in epoch_batches] == [3, 3, 2]
        np.testing.assert_array_equal(np.concatenate([batch.inputs[0] for batch in epoch_batches]), expected)
        np.testing.assert_array_equal(np.concatenate([batch.targets for batch in epoch_batches]), TARGETS[rows])
    # The views of an epoch are not needed again, so the store does not keep them.
    assert not (tmp_path / "store").exists()


def test_an_image_that_vanished_ends_live_training_with_its_path(
    live: tuple[LiveBatches, list[Item]], tmp_path: Path
) -> None:
    batches, images = live
    path = tmp_path / "photos" / images[0].path
    path.unlink()
    with pytest.raises(GraftError) as caught:
        list(batches.epoch(1))
    assert str(caught.value) == (
        f"{path} cannot be read: No such file or directory. Run `dvc repro` to scan the images again."
    )
