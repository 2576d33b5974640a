import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tasks.common.errors import GraftError
from tasks.common.params import Params
from tasks.extraction.recipe import Recipe, read_augmentation
from tasks.extraction.request import Request, read_request
from tasks.finetuning.batches import Floats
from tasks.finetuning.boundary import boundary_recipe, read_activations
from tasks.finetuning.sample import find_sample, fixed_features
from tasks.images.augmentation import make_view
from tasks.images.decoding import read
from tasks.networks import cuts, saving
from tasks.networks.conversion.keras_to_onnx import preprocess
from tasks.onnx.resizing import resize_session
from tasks.store import Store
from tasks.tables import features
from tests.tasks.conftest import write_accepted
from tests.tasks.finetuning.small_inputs import CLASSES, TAP, write_features, write_images

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024  as shutil.disk_usage returns


class Setting:
    """Images, their request, and the recipe of their activations at an early cut of the starter base."""

    def __init__(self, folder: Path, backbone: Path, settings: Params) -> None:
        """Write the images below `folder`."""
        self.images, self.settings, self.folder = folder / "photos", settings, folder
        self.rows = write_images(self.images)
        self.request = read_request(write_accepted(folder / "accepted.parquet", self.rows), views=2)
        self.graph = onnx.load(backbone / "backbone.onnx")
        self.lower = cuts.truncate(saving.load(backbone / "keras", "base"), ["conv_pw_5_relu"])
        facts: dict[str, Any] = json.loads((backbone / "backbone.json").read_text())
        self.views = read_augmentation(settings.augmentation)
        self.recipe = boundary_recipe(self.lower, facts, self.graph, self.views)

    def read(self, request: Request | None = None, recipe: Recipe | None = None, store: str = "store") -> Floats:
        """Return the activations, by way of a store of that name."""
        shape = self.lower.output_shape[1:]
        chosen, by = request or self.request, recipe or self.recipe
        return read_activations(self.images, chosen, by, Store(self.folder / store), self.settings.features, shape)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory, backbone: Path, settings: Params) -> Setting:
    return Setting(tmp_path_factory.mktemp("boundary"), backbone, settings)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_activations_are_those_of_keras_for_all_views_and_leave_no_file(setting: Setting, cache: Path) -> None:
    activations = setting.read()
    resize = resize_session(setting.graph)
    lists = setting.request
    for position in (0, 1, 2, len(lists) - 1):
        row = setting.rows[lists.image_rows[position]]
        view = int(lists.keys.views[position])
        pixels = make_view(read(setting.images / row.path), row.sha256, view, setting.views.seed, setting.views.spec)
        expected = np.asarray(setting.lower(preprocess(resize(pixels[None]), "tf"), training=False))[0]
        np.testing.assert_allclose(activations[position], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert lists.keys.views[:3].tolist() == [0, 1, 0]
    assert activations.shape == (len(lists), *setting.lower.output_shape[1:])
    assert list((cache / "finetuning").iterdir()) == []


def test_an_image_that_changed_is_refused_with_its_path(setting: Setting) -> None:
    path = setting.images / setting.rows[0].path
    content = path.read_bytes()
    try:
        path.write_bytes(content + b"more")
        with pytest.raises(GraftError) as caught:
            setting.read(store="another")
    finally:
        path.write_bytes(content)
    assert str(caught.value) == f"{path} changed since it was scanned. Run `dvc repro` to scan the images again."


def test_activations_that_are_not_finite_are_refused_with_the_image_and_the_cut(setting: Setting) -> None:
    model = onnx.load_from_string(setting.recipe.model)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            weights = onnx.numpy_helper.to_array(tensor) * np.float32(np.inf)
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))
    broken = setting.recipe._replace(model=model.SerializeToString(), graphs=("broken",))
    with pytest.raises(GraftError) as caught:
        setting.read(recipe=broken)
    assert str(caught.value) == (
        "the activations of horizontal/0.png at finetuning.cut 'conv_pw_5_relu' are not finite. "
        "Choose another cut, or check the backbone's weights."
    )


def test_a_disk_that_is_too_small_is_refused_with_figures(
    setting: Setting, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 1000))
    with pytest.raises(GraftError) as caught:
        setting.read(store="empty")
    assert str(caught.value) == (
        "fine-tuning from finetuning.cut 'conv_pw_5_relu' needs 0.0 GB for activations, but "
        f"{cache / 'finetuning'} has 0.0 GB free. Make room, choose a higher cut, take fewer features.views, or set "
        "finetuning.live to true."
    )


def test_the_sample_has_the_training_and_validation_vectors_that_have_features(setting: Setting) -> None:
    with_features = [row for row in setting.rows if row.path != "vertical/0.png"]
    write_features(setting.folder / "features.parquet", with_features, views=2)
    table = features.read(setting.folder / "features.parquet")
    sample = find_sample(setting.request, table, CLASSES)
    keys = list(zip(sample.paths, sample.request.keys.views.tolist(), strict=True))
    expected = [
        (row.path, view)
        for row in with_features
        if row.split != "test"
        for view in range(2 if row.split == "train" else 1)
    ]
    assert keys == expected
    assert [CLASSES[target] for target in sample.targets.tolist()] == [path.split("/")[0] for path, _ in keys]
    assert [path for path, is_val in zip(sample.paths, sample.in_validation, strict=True) if is_val] == [
        row.path for row in setting.rows if row.split == "val"
    ]
    fixed = fixed_features(sample, table, [TAP.layer])
    in_table = list(zip(table.paths.tolist(), table.views.tolist(), strict=True))
    assert fixed.shape == (len(keys), TAP.width)
    assert fixed[:, 0].tolist() == [in_table.index(key) for key in keys]
    assert fixed_features(sample, table, []).shape == (len(keys), 0)
    plain = sample.take(sample.is_plain)
    assert [(item.path, item.sha256) for item in plain.items()] == [
        (row.path, row.sha256) for row in with_features if row.split != "test"
    ]
