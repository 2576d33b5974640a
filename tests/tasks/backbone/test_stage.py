"""From params to the stage's files: cut, taps, pooling, top, weights of one's own."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

from tasks.backbone import pretrained
from tasks.backbone.construction import build
from tasks.backbone.registry import architecture
from tasks.backbone.stage import make
from tasks.common.errors import GateError, GraftError
from tasks.common.params import Backbone, Params
from tasks.networks import cuts, saving
from tasks.networks.conversion.keras_to_onnx import preprocess
from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tests.tasks.conftest import ROOT, noise

TOLERANCE = 1e-5


@pytest.fixture
def small(settings: Params) -> Backbone:
    """Give a small network with random weights."""
    return settings.backbone.model_copy(update={"weights": "none", "alpha": 0.25, "input_size": 32})


def facts(folder: Path) -> Any:
    return json.loads((folder / "backbone.json").read_text())


def expected(params: Backbone, layer: str, images: np.ndarray) -> np.ndarray:
    """Return what plain Keras makes of images of the right size at a layer, before pooling."""
    whole = pretrained.load(params)
    part = keras.Model(whole.model.input, whole.model.get_layer(layer).output)
    return np.asarray(part(preprocess(images, whole.mode), training=False))


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())


def test_a_graph_further_from_keras_than_allowed_stops_the_stage(tmp_path: Path, small: Backbone) -> None:
    with pytest.raises(GateError, match="the ONNX graph of MobileNet differs from Keras by"):
        make(small.model_copy(update={"tolerance": 1e-12}), None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_files_tell_what_they_are_and_are_the_same_bytes_when_made_again(tmp_path: Path, small: Backbone) -> None:
    for name in ("one", "two"):
        make(small, [0.5, "conv_pw_13"], tmp_path / name)
    told = facts(tmp_path / "one")
    layers, possible = told.pop("layers"), told.pop("cuts")
    assert layers[1:] == possible
    assert possible[-1] == "conv_pw_13"
    assert told == {
        "name": "MobileNet",
        "weights": "none",
        "weights_sha256": None,
        "licence": "own",
        "include_top": False,
        "input_size": 32,
        "alpha": 0.25,
        "mode": "tf",
        "pooling": "avg",
        "taps": ["conv_pw_6_relu", "conv_pw_13"],
        "width": 128 + 256,
        "parameters": 217_520,
        "opset": 18,
    }
    model = onnx.load(tmp_path / "one" / "backbone.onnx")
    assert [one.version for one in model.opset_import] == [18]
    assert json.loads(graphs.metadata(model)["backbone"]) == told
    assert json.loads(graphs.metadata(model)["taps"]) == [
        {"layer": "conv_pw_6_relu", "tensor": "features/conv_pw_6_relu", "width": 128},
        {"layer": "conv_pw_13", "tensor": "features/conv_pw_13", "width": 256},
    ]
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("pooling", ["avg", "max", "none"])
def test_maps_become_a_vector_by_average_by_maximum_or_row_by_row(
    tmp_path: Path, small: Backbone, pooling: str
) -> None:
    params = small.model_copy(update={"pooling": pooling, "input_size": 64})
    make(params, ["conv_pw_11_relu"], tmp_path / "out")
    images = np.stack([noise(seed, 64, 64) for seed in range(3)])
    maps = expected(params, "conv_pw_11_relu", images)
    wanted = {"avg": maps.mean((1, 2)), "max": maps.max((1, 2)), "none": maps.reshape(3, -1)}[pooling]
    close(Session(onnx.load(tmp_path / "out" / "backbone.onnx"), threads=1)(images), wanted)
    assert facts(tmp_path / "out")["width"] == wanted.shape[1]


def test_a_cut_keeps_the_layers_below_it_alone(tmp_path: Path, small: Backbone) -> None:
    make(small, None, tmp_path / "whole")
    params = small.model_copy(update={"cut": "conv_pw_3"})
    make(params, None, tmp_path / "cut")
    assert facts(tmp_path / "cut")["taps"] == ["conv_pw_3"]
    assert saving.load(tmp_path / "cut", "base").layers[-1].name == "conv_pw_3"
    sizes = [onnx.load(tmp_path / name / "backbone.onnx").ByteSize() for name in ("cut", "whole")]
    assert sizes[0] < sizes[1] / 20
    images = noise(1, 32, 32)[None]
    found = Session(onnx.load(tmp_path / "cut" / "backbone.onnx"), threads=1)(images)
    close(found, expected(params, "conv_pw_3", images).mean((1, 2)))


def test_with_its_top_the_dense_layers_can_be_tapped(tmp_path: Path, settings: Params) -> None:
    params = settings.backbone.model_copy(
        update={"name": "MobileNetV2", "weights": "none", "alpha": 0.35, "input_size": 32, "include_top": True}
    )
    make(params, ["global_average_pooling2d", "predictions"], tmp_path / "out")
    assert facts(tmp_path / "out")["width"] == 1280 + 1000
    images = np.stack([noise(seed, 32, 32) for seed in range(2)])
    found = Session(onnx.load(tmp_path / "out" / "backbone.onnx"), threads=1)(images)
    close(found[:, 1280:], expected(params, "predictions", images))


def test_the_networks_of_one_run_are_read_back_with_all_their_taps(tmp_path: Path, small: Backbone) -> None:
    make(small, ["conv_pw_1", 1.0], tmp_path / "out")
    base = saving.load(tmp_path / "out", "base")
    assert cuts.tap_names(base) == ["conv_pw_1", "conv_pw_13_relu"]


@pytest.mark.parametrize(
    ("cut", "taps", "told"),
    [
        (
            "conv_pw_33",
            None,
            "backbone.cut: MobileNet has no layer or block 'conv_pw_33'. Did you mean 'conv_pw_3'?",
        ),
        (
            "conv_pw_3",
            ["conv_pw_2", "conv_pw_5"],
            "features.taps[1]: MobileNet has no layer or block 'conv_pw_5'.",
        ),
        (None, ["conv_pw_13_relu", 1.0], "features.taps names the cut 'conv_pw_13_relu' twice; name each once."),
        (0.001, None, "backbone.cut is 0.001, below the lowest cut 'conv1', which lies at 0.012."),
    ],
)
def test_a_cut_or_tap_that_cannot_be_is_told_with_its_key(
    tmp_path: Path, small: Backbone, cut: cuts.Choice | None, taps: list[cuts.Choice] | None, told: str
) -> None:
    with pytest.raises(GraftError) as caught:
        make(small.model_copy(update={"cut": cut}), taps, tmp_path / "out")
    assert told in str(caught.value)


def test_saved_weights_load_into_the_same_network(tmp_path: Path, small: Backbone) -> None:
    model = build(architecture("MobileNet"), 32, 0.25, seed=1, include_top=False, imagenet=False)
    path = tmp_path / "mine.weights.h5"
    model.save_weights(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = pretrained.load(small.model_copy(update={"weights": str(path), "sha256": digest, "seed": 2}))
    for one, other in zip(loaded.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_of_ones_own_with_a_weights_file_is_a_base_too(
    tmp_path: Path, small: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "backbones", tmp_path / "backbones")
    monkeypatch.chdir(tmp_path)
    own = small.model_copy(update={"name": "backbones.small:build", "alpha": None, "seed": 5})
    model = pretrained.load(own).model
    path = tmp_path / "mine.weights.h5"
    model.save_weights(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    params = own.model_copy(update={"weights": str(path), "sha256": digest, "seed": 0})
    make(params, ["block2", "block3"], tmp_path / "out")
    told = facts(tmp_path / "out")
    assert (told["name"], told["weights_sha256"], told["mode"]) == ("backbones.small:build", digest, "none")
    assert told["taps"] == ["block2_relu", "block3_relu"]
    images = noise(1, 32, 32)[None]
    found = Session(onnx.load(tmp_path / "out" / "backbone.onnx"), threads=1)(images)
    close(found[:, 32:], np.asarray(model(images.astype(np.float32))).mean((1, 2)))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"weights": "imagenet"}, "backbone.weights is imagenet, but backbones.small:build is a network of your own."),
        ({"include_top": True}, "backbone.include_top is set, but backbones.small:build is a network of your own"),
        ({"alpha": 0.5}, "backbone.alpha is set, but backbones.small:build is a network of your own"),
    ],
)
def test_what_only_published_networks_have_is_refused_for_ones_own(
    small: Backbone, changed: dict[str, Any], told: str
) -> None:
    params = small.model_copy(update={"name": "backbones.small:build", "alpha": None} | changed)
    with pytest.raises(GraftError) as caught:
        pretrained.load(params)
    assert told in str(caught.value)
