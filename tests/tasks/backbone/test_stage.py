"""The stage's files: cut, taps, pooling, top, and weights that the user brought."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tasks.backbone import pretrained
from tasks.backbone.catalogue.layers import print_layers
from tasks.backbone.construction import build
from tasks.backbone.custom import build_custom
from tasks.backbone.registry import find_architecture
from tasks.backbone.stage import prepare_backbone
from tasks.common.errors import GateError, GraftError
from tasks.common.params import Backbone, Params
from tasks.networks import cuts, saving
from tasks.networks.conversion.keras_to_onnx import preprocess
from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tests.tasks.conftest import ROOT, noise

Images = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]

TOLERANCE = 1e-5
# A network that is converted in half a second.
EXAMPLE: dict[str, Any] = {"name": "backbones.small:build", "alpha": None}


@pytest.fixture
def small(settings: Params) -> Backbone:
    """Return params of a small network with random weights."""
    return settings.backbone.model_copy(update={"weights": "none", "alpha": 0.25, "input_size": 32})


def read_facts(folder: Path) -> Any:
    return json.loads((folder / "backbone.json").read_text())


def run_keras(params: Backbone, layer: str, images: Images) -> Vectors:
    """Return Keras's own output of a layer for images of the input size, before pooling."""
    network = pretrained.load(params)
    part = keras.Model(network.model.input, network.model.get_layer(layer).output)
    return np.asarray(part(preprocess(images, network.mode), training=False))


def assert_close(actual: Vectors, expected: Vectors) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def run_onnx(folder: Path, images: Images) -> Vectors:
    return Session(onnx.load(folder / "backbone.onnx"), threads=1)(images)


def test_a_graph_further_from_keras_than_allowed_stops_the_stage(tmp_path: Path, small: Backbone) -> None:
    params = small.model_copy(update=EXAMPLE | {"tolerance": 1e-12})
    with pytest.raises(GateError, match="the ONNX graph of backbones.small:build differs from Keras by"):
        prepare_backbone(params, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_files_state_their_facts_and_have_the_same_bytes_in_every_run(tmp_path: Path, small: Backbone) -> None:
    for name in ("first", "second"):
        prepare_backbone(small, [0.5, "conv_pw_13"], tmp_path / name)
    facts = read_facts(tmp_path / "first")
    layers, cut_names = facts.pop("layers"), facts.pop("cuts")
    assert layers[1:] == cut_names
    assert cut_names[-1] == "conv_pw_13"
    assert facts == {
        "name": "MobileNet",
        "weights": "none",
        "weights_sha256": None,
        "licence": "own",
        "include_top": False,
        "input_size": 32,
        "resize": {
            "size": 32,
            "fit": "stretch",
            "crop_share": 1.0,
            "pad_colour": [0, 0, 0],
            "interpolation": "bilinear",
        },
        "alpha": 0.25,
        "mode": "tf",
        "pooling": "avg",
        "taps": ["conv_pw_6_relu", "conv_pw_13"],
        "width": 128 + 256,
        "parameters": 217_520,
        "opset": 18,
    }
    model = onnx.load(tmp_path / "first" / "backbone.onnx")
    assert [opset.version for opset in model.opset_import] == [18]
    assert json.loads(graphs.metadata(model)["backbone"]) == facts
    assert json.loads(graphs.metadata(model)["taps"]) == [
        {"layer": "conv_pw_6_relu", "tensor": "features/conv_pw_6_relu", "width": 128, "depth": 0.506},
        {"layer": "conv_pw_13", "tensor": "features/conv_pw_13", "width": 256, "depth": 1.0},
    ]
    for path in sorted((tmp_path / "first").rglob("*.*")):
        second = tmp_path / "second" / path.relative_to(tmp_path / "first")
        assert path.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("pooling", ["avg", "max", "none"])
def test_maps_are_pooled_by_average_or_maximum_or_flattened_row_by_row(
    tmp_path: Path, small: Backbone, pooling: str
) -> None:
    params = small.model_copy(update=EXAMPLE | {"pooling": pooling})
    prepare_backbone(params, ["block2_relu"], tmp_path / "out")
    images = np.stack([noise(seed, 32, 32) for seed in range(3)])
    maps = run_keras(params, "block2_relu", images)
    expected = {"avg": maps.mean((1, 2)), "max": maps.max((1, 2)), "none": maps.reshape(3, -1)}[pooling]
    assert_close(run_onnx(tmp_path / "out", images), expected)
    assert read_facts(tmp_path / "out")["width"] == expected.shape[1]


def test_a_cut_keeps_only_the_layers_up_to_it(tmp_path: Path, small: Backbone) -> None:
    prepare_backbone(small, None, tmp_path / "whole")
    params = small.model_copy(update={"cut": "conv_pw_3"})
    prepare_backbone(params, None, tmp_path / "cut")
    assert read_facts(tmp_path / "cut")["taps"] == ["conv_pw_3"]
    assert saving.load(tmp_path / "cut" / "keras", "base").layers[-1].name == "conv_pw_3"
    sizes = [onnx.load(tmp_path / name / "backbone.onnx").ByteSize() for name in ("cut", "whole")]
    assert sizes[0] < sizes[1] / 20
    images = noise(1, 32, 32)[None]
    actual = run_onnx(tmp_path / "cut", images)
    assert_close(actual, run_keras(params, "conv_pw_3", images).mean((1, 2)))


def test_with_its_top_the_dense_layers_can_be_tapped(tmp_path: Path, settings: Params) -> None:
    params = settings.backbone.model_copy(
        update={"name": "MobileNetV2", "weights": "none", "alpha": 0.35, "input_size": 32, "include_top": True}
    )
    prepare_backbone(params, ["global_average_pooling2d", "predictions"], tmp_path / "out")
    assert read_facts(tmp_path / "out")["width"] == 1280 + 1000
    images = np.stack([noise(seed, 32, 32) for seed in range(2)])
    actual = run_onnx(tmp_path / "out", images)
    assert_close(actual[:, 1280:], run_keras(params, "predictions", images))


def test_the_saved_keras_base_has_all_its_taps(tmp_path: Path, small: Backbone) -> None:
    prepare_backbone(small.model_copy(update={"cut": "conv_pw_3_relu"}), ["conv_pw_1", 1.0], tmp_path / "out")
    base = saving.load(tmp_path / "out" / "keras", "base")
    assert cuts.tap_names(base) == ["conv_pw_1", "conv_pw_3_relu"]


@pytest.mark.parametrize(
    ("cut", "taps", "message"),
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
    ids=["misspelt cut", "tap above the cut", "the same tap twice", "cut below all"],
)
def test_an_impossible_cut_or_tap_is_reported_with_its_key(
    tmp_path: Path, small: Backbone, cut: cuts.Choice | None, taps: list[cuts.Choice] | None, message: str
) -> None:
    with pytest.raises(GraftError) as caught:
        prepare_backbone(small.model_copy(update={"cut": cut}), taps, tmp_path / "out")
    assert message in str(caught.value)


def test_saved_weights_load_into_the_same_network(tmp_path: Path, small: Backbone) -> None:
    model = build(find_architecture("MobileNet"), 32, 0.25, seed=1, include_top=False, imagenet=False)
    path = tmp_path / "mine.weights.h5"
    model.save_weights(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = pretrained.load(small.model_copy(update={"weights": str(path), "sha256": digest, "seed": 2}))
    for loaded_weight, weight in zip(loaded.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded_weight, weight)


def test_a_custom_network_with_a_weights_file_becomes_a_base(
    tmp_path: Path, small: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "backbones", tmp_path / "backbones")
    monkeypatch.chdir(tmp_path)
    own = small.model_copy(update=EXAMPLE | {"seed": 5})
    model = pretrained.load(own).model
    path = tmp_path / "mine.weights.h5"
    model.save_weights(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    fit = {"fit": "crop", "crop_share": 0.5, "pad_colour": [0, 0, 0], "interpolation": "bicubic"}
    params = own.model_copy(update={"weights": str(path), "sha256": digest, "seed": 0, **fit})
    prepare_backbone(params, ["block2", "block3"], tmp_path / "out")
    facts = read_facts(tmp_path / "out")
    assert (facts["name"], facts["weights_sha256"], facts["mode"]) == ("backbones.small:build", digest, "none")
    assert facts["taps"] == ["block2_relu", "block3_relu"]
    assert facts["resize"] == {"size": 32, **fit}
    images = noise(1, 64, 90)[None]
    actual = run_onnx(tmp_path / "out", images)
    centre = images[:, 16:48, 29:61]
    assert_close(actual[:, 32:], np.asarray(model(centre.astype(np.float32))).mean((1, 2)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "imagenet"}, "backbone.weights is imagenet, but backbones.small:build is a network of your own."),
        ({"include_top": True}, "backbone.include_top is set, but backbones.small:build is a network of your own"),
        ({"alpha": 0.5}, "backbone.alpha is set, but backbones.small:build is a network of your own"),
    ],
    ids=["imagenet", "include_top", "alpha"],
)
def test_settings_of_published_networks_are_refused_for_a_custom_network(
    small: Backbone, changes: dict[str, Any], message: str
) -> None:
    params = small.model_copy(update=EXAMPLE | changes)
    with pytest.raises(GraftError) as caught:
        pretrained.load(params)
    assert message in str(caught.value)


MODULE = """
import keras
layers = keras.layers
def inner(size):
    return keras.Sequential([
        keras.Input((size, size, 3)), layers.Conv2D(4, 3, name="conv_1"), layers.BatchNormalization(name="bn"),
        layers.Conv2D(6, 3, name="conv_2")], name="inner")
def nested(size):
    source = keras.Input((size, size, 3))
    return keras.Model(source, inner(size)(layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(source)))
def tokens(size):
    source = keras.Input((size, size, 3))
    maps = layers.Conv2D(5, 8, strides=8, name="patches")(source)
    return keras.Model(source, layers.Reshape((-1, 5), name="tokens")(maps))
def infinite(size):
    source = keras.Input((size, size, 3))
    values = layers.Conv2D(4, 3, name="conv_1")(source)
    large = layers.Conv2D(4, 3, name="conv_2", bias_initializer=keras.initializers.Constant(3e38))(values)
    return keras.Model(source, layers.ReLU(name="end")(layers.Add(name="sum")([large, large])))
"""


@pytest.fixture
def own(small: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """Return params of a network in the module `own`, in a folder `backbones` of its own."""
    (tmp_path / "backbones").mkdir()
    (tmp_path / "backbones" / "__init__.py").touch()
    (tmp_path / "backbones" / "own.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "backbones"]:
        monkeypatch.delitem(sys.modules, name)
    return small.model_copy(update={"name": "backbones.own:nested", "alpha": None})


def test_layers_inside_a_nested_model_can_be_cut_and_tapped_after_weights_of_its_own_layout(
    tmp_path: Path, own: Backbone
) -> None:
    model = build_custom(own.name, 32, seed=7)
    path = tmp_path / "nested.weights.h5"
    model.save_weights(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    params = own.model_copy(update={"weights": str(path), "sha256": digest, "cut": "conv_2"})
    prepare_backbone(params, ["conv_1", 1.0], tmp_path / "out")
    facts = read_facts(tmp_path / "out")
    assert facts["cuts"] == ["rescaling", "conv_1", "bn", "conv_2"]
    assert facts["taps"] == ["conv_1", "conv_2"]
    images = noise(1, 32, 32)[None]
    expected = np.asarray(model(images.astype(np.float32), training=False)).mean((1, 2))
    assert_close(run_onnx(tmp_path / "out", images)[:, 4:], expected)


@pytest.mark.usefixtures("own")
def test_the_cuts_inside_a_nested_model_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_layers("backbones.own:nested", 32, None, include_top=False)
    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert shown["conv_1"] == ["Conv2D", "30x30x4", "112", "0.500"]
    assert shown["conv_2"] == ["Conv2D", "28x28x6", "222", "1.000"]
    assert "inner" not in shown


@pytest.mark.parametrize("pooling", ["avg", "max", "none", "cls"])
def test_tokens_are_pooled_or_flattened_or_the_first_is_taken(tmp_path: Path, own: Backbone, pooling: str) -> None:
    params = own.model_copy(update={"name": "backbones.own:tokens", "pooling": pooling})
    prepare_backbone(params, "auto", tmp_path / "out")
    images = np.stack([noise(seed, 32, 32) for seed in range(2)])
    tokens = np.asarray(pretrained.load(params).model(images.astype(np.float32)))
    expected = {"avg": tokens.mean(1), "max": tokens.max(1), "none": tokens.reshape(2, -1), "cls": tokens[:, 0]}
    assert_close(run_onnx(tmp_path / "out", images)[:, -expected[pooling].shape[1] :], expected[pooling])


def test_the_first_layer_whose_values_are_not_finite_is_named(tmp_path: Path, own: Backbone) -> None:
    with pytest.raises(GraftError) as caught:
        prepare_backbone(own.model_copy(update={"name": "backbones.own:infinite"}), None, tmp_path / "out")
    assert str(caught.value) == (
        "layer 'sum' of backbones.own:infinite gives values that are not finite (inf). Check its weights."
    )
    assert not (tmp_path / "out").exists()


def test_the_taps_that_auto_means_are_reported(
    tmp_path: Path, small: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    params = small.model_copy(update={"cut": "conv_pw_5_relu"})
    prepare_backbone(params, "auto", tmp_path / "out")
    taps = ["conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu"]
    assert read_facts(tmp_path / "out")["taps"] == taps
    assert f"backbone: features.taps is auto, which means {', '.join(taps)}\n" in capsys.readouterr().err
