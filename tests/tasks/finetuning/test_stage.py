import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

from tasks.common.errors import GraftError
from tasks.common.params import Params
from tasks.finetuning.__main__ import main
from tasks.finetuning.parts import join_head, split_base
from tasks.finetuning.stage import finetune
from tasks.head.classifier import build_head
from tasks.images.decoding import read
from tasks.networks import saving
from tasks.networks.conversion.keras_to_onnx import preprocess
from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tasks.store import Store
from tasks.tables import reference
from tests.tasks.conftest import ROOT, noise, write_accepted, write_photos

CUT = "conv_pw_11_relu"
FEATURES = np.random.default_rng(0).random((9, 256), np.float32)
FILES = (
    "backbone.onnx",
    "base.json",
    "base.weights.h5",
    "head.json",
    "head.onnx",
    "head.weights.h5",
    "head_history.csv",
    "history.csv",
    "metrics.json",
    "reference.parquet",
)


SCRIPT = """
import sys
from pathlib import Path
from tasks.common import params
from tasks.finetuning.stage import finetune
from tasks.store import Store
section = params.load(Path("params.yaml")).finetuning.model_copy(update={"epochs": 2, "batch_size": 6})
for name in ("first", "second"):
    finetune(Path("photos"), Path("accepted.parquet"), Path(sys.argv[1]), Path("head"), Path(name), section,
             Store("store"))
"""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Path:
    """Tune twice, into `first` and `second`, for two epochs from an untrained head.

    This takes a process of its own, because the number of TensorFlow's threads is fixed once it runs.
    """
    folder = tmp_path_factory.mktemp("tuned")
    write_accepted(folder / "accepted.parquet", write_photos(folder / "photos", 12))
    keras.utils.set_random_seed(0)
    saving.save(build_head(FEATURES, 2, [8], 0.1), folder / "head", "head")
    (folder / "head" / "history.csv").write_text("epoch\n")
    shutil.copy(ROOT / "params.yaml", folder)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, str(backbone)]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=300)
    return folder


def weights(layer: keras.layers.Layer) -> list[bytes]:
    return [np.asarray(weight).tobytes() for weight in layer.get_weights()]


@pytest.mark.parametrize("cut", ["conv1", "conv_dw_4_bn", "conv_pw_6_relu", CUT, "conv_pw_13_bn"])
def test_the_two_parts_together_are_the_base(backbone: Path, cut: str) -> None:
    base = saving.load(backbone / "keras", "base")
    lower, upper = split_base(base, cut)
    images = preprocess(np.stack([noise(seed, 64, 64) for seed in range(3)]), "tf")
    expected = np.asarray(base(images, training=False))
    outputs = np.asarray(upper(lower(images, training=False), training=False))
    assert np.abs(outputs - expected).max() <= 1e-5 * np.abs(expected).max()
    assert lower.count_params() + upper.count_params() == base.count_params()


def test_the_parts_share_the_weights_of_the_base(backbone: Path) -> None:
    base = saving.load(backbone / "keras", "base")
    _, upper = split_base(base, CUT)
    layer = upper.get_layer("conv_pw_13")
    layer.set_weights([weight + 1 for weight in layer.get_weights()])
    assert weights(base.get_layer("conv_pw_13")) == weights(layer)


def test_only_convolutions_above_the_cut_and_the_head_are_trained(backbone: Path) -> None:
    base = saving.load(backbone / "keras", "base")
    _, upper = split_base(base, CUT)
    head = build_head(FEATURES, 2, [8], 0.1)
    model = join_head(upper, head, "avg")
    trained = {variable.path for variable in model.trainable_variables}
    expected = ["conv_dw_12", "conv_pw_12", "conv_dw_13", "conv_pw_13", "dense_0", "probabilities"]
    assert {path.split("/")[-2] for path in trained} == set(expected)


def test_batch_statistics_and_everything_up_to_the_cut_stay_as_they_were(backbone: Path, tuned: Path) -> None:
    before, after = saving.load(backbone / "keras", "base"), saving.load(tuned / "first", "base")
    above = False
    trained = []
    for layer, tuned_layer in zip(before.layers, after.layers, strict=True):
        if above and isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
            trained.append(layer.name)
            assert weights(layer) != weights(tuned_layer), layer.name
        else:
            assert weights(layer) == weights(tuned_layer), layer.name
        above = above or layer.name == CUT
    assert trained == ["conv_dw_12", "conv_pw_12", "conv_dw_13", "conv_pw_13"]


def test_the_head_is_trained_too(tuned: Path) -> None:
    before, after = saving.load(tuned / "head", "head"), saving.load(tuned / "first", "head")
    assert weights(before.get_layer("dense_0")) != weights(after.get_layer("dense_0"))
    assert before.to_json() == after.to_json()


def test_the_same_seed_writes_the_same_bytes(tuned: Path) -> None:
    first, second = (
        {path.name: path.read_bytes() for path in (tuned / name).iterdir()} for name in ("first", "second")
    )
    assert sorted(first) == list(FILES)
    assert first == second


def test_the_record_is_what_the_written_graphs_predict_for_the_validation_images(tuned: Path) -> None:
    base, head = (Session(onnx.load(tuned / "first" / f"{name}.onnx"), threads=1) for name in ("backbone", "head"))
    paths, expected, classes = reference.read(tuned / "first" / "reference.parquet")
    assert classes == ["dark", "light"]
    assert paths == [f"{label}/{number}.png" for label in classes for number in (2, 6, 10)]
    probabilities = np.concatenate([head(base(read(tuned / "photos" / path)[None])) for path in paths])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_tuned_graph_keeps_the_metadata_of_the_base(backbone: Path, tuned: Path) -> None:
    before, after = (graphs.metadata(onnx.load(folder / "backbone.onnx")) for folder in (backbone, tuned / "first"))
    assert before == after
    assert json.loads(after["backbone"])["name"] == "MobileNet"


@pytest.mark.parametrize(
    ("cut", "taps", "expected"),
    [
        ("conv_pw_13_relu", None, "'conv_pw_13_relu' is the last layer of MobileNet: nothing is above it to train."),
        (1.0, None, "'conv_pw_13_relu' is the last layer of MobileNet: nothing is above it to train."),
        ("conv_pw_11_rel", None, "MobileNet has no layer or block 'conv_pw_11_rel'. Did you mean 'conv_pw_11_relu'?"),
        ("CONV_PW_13", None, "Did you mean 'conv_pw_13'? `graft backbones show MobileNet` lists its cuts."),
        ("qqq", None, "MobileNet has no layer or block 'qqq'."),
        (
            "conv_pw_11_relu",
            ["conv_pw_5_relu", "conv_pw_13_relu"],
            (
                "'conv_pw_11_relu' lies above the tap 'conv_pw_5_relu', whose features would stay as they are. "
                "Choose 'conv_pw_5_relu' or a cut below it, or take that one out of features.taps."
            ),
        ),
    ],
    ids=["last layer", "whole depth", "nearest layer", "nearest block", "unknown", "above a tap"],
)
def test_a_cut_that_cannot_be_used_is_refused_before_anything_is_loaded(
    backbone: Path, tmp_path: Path, settings: Params, cut: str | float, taps: list[str] | None, expected: str
) -> None:
    facts = json.loads((backbone / "backbone.json").read_text())
    (tmp_path / "backbone.json").write_text(json.dumps(facts | {"taps": taps or facts["taps"]}))
    params = settings.finetuning.model_copy(update={"cut": cut})
    with pytest.raises(GraftError) as caught:
        finetune(tmp_path, tmp_path / "accepted.parquet", tmp_path, tmp_path, tmp_path / "out", params, Store(tmp_path))
    assert str(caught.value).startswith("finetuning.cut")
    assert expected in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_every_tap_is_part_of_the_features_also_the_one_at_the_cut() -> None:
    source = keras.Input((8, 8, 3))
    low = keras.layers.Conv2D(4, 3, name="low")(source)
    base = keras.Model(source, [low, keras.layers.Conv2D(5, 3, name="high")(low)])
    lower, upper = split_base(base, "low")
    classifier = keras.Sequential([keras.Input((9,)), keras.layers.Dense(2, name="out")])
    values = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    model = join_head(upper, classifier, "avg", boundary_is_tap=True)
    features = np.concatenate([np.asarray(part).mean((1, 2)) for part in base(values)], axis=1)
    np.testing.assert_allclose(model(lower(values)), classifier(features), rtol=1e-5, atol=1e-6)


def test_switched_off_the_head_is_passed_on_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "head.onnx").write_bytes(b"any")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "backbone.onnx").touch()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    options: dict[str, Any] = dict.fromkeys(("--images", "--accepted", "--backbone"), "missing")
    options |= {"--head": "head", "--out": "out", "--params": "params.yaml"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["finetuning", *(word for pair in options.items() for word in pair)])
    main()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["head.onnx"]
    assert (tmp_path / "out" / "head.onnx").read_bytes() == b"any"
