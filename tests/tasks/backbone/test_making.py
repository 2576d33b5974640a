"""Every architecture of the registry: built, converted and held to Keras; its download held to Keras's own."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

from tasks.backbone.download import ALPHAS, HOST
from tasks.backbone.making import build, make
from tasks.backbone.registry import ARCHITECTURES
from tasks.backbone.weights import Source
from tasks.common import graphs, params
from tasks.common.errors import GateError
from tasks.common.sessions import Session

SMALLEST = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71, "NASNetLarge": 331, "NASNetMobile": 224}
FAMILIES = [
    "DenseNet121",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "NASNetMobile",
    "ResNet50",
    "VGG16",
    "VGG19",
    "Xception",
]


def section(**changes: Any) -> params.Backbone:
    given = {
        "name": "MobileNet",
        "weights": "none",
        "input_size": 32,
        "alpha": None,
        "pooling": "avg",
        "seed": 0,
        "mirror": None,
        "tolerance": 1e-4,
    }
    return params.Backbone(**(given | changes))


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_converted_and_takes_images_of_any_size(name: str, tmp_path: Path) -> None:
    size = SMALLEST.get(name, 32)
    make(ARCHITECTURES[name], tmp_path / "out", section(name=name, input_size=size))
    facts = json.loads((tmp_path / "out" / "backbone.json").read_text())
    model = onnx.load(tmp_path / "out" / "backbone.onnx")
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    assert Session(model, threads=1)(images).shape == (2, facts["width"])
    assert graphs.metadata(model)["backbone"] == json.dumps({key: facts[key] for key in facts if key != "cuts"})


def test_a_graph_further_from_keras_than_allowed_stops_the_stage(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="the ONNX graph of MobileNet differs from Keras by"):
        make(ARCHITECTURES["MobileNet"], tmp_path / "out", section(tolerance=1e-12))
    assert not (tmp_path / "out").exists()


def test_saved_weights_load_into_the_same_network_and_random_ones_follow_their_seed(tmp_path: Path) -> None:
    row = ARCHITECTURES["MobileNet"]
    first = build(row, Source("none", None, 32, 0.25), seed=1)
    first.save_weights(tmp_path / "mine.weights.h5")
    again = build(row, Source("mine", tmp_path / "mine.weights.h5", 32, 0.25), seed=2)
    other = build(row, Source("none", None, 32, 0.25), seed=2)
    digests = [
        hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()
        for model in (first, again, other)
    ]
    assert digests[0] == digests[1] != digests[2]


class Asked(Exception):  # noqa: N818  no error: it carries what Keras asked for
    """What keras.applications would download."""


@pytest.mark.parametrize(
    ("name", "alpha"),
    [(name, None) for name in ARCHITECTURES if name != "MobileNet"] + [("MobileNet", alpha) for alpha in ALPHAS],
)
def test_each_row_asks_for_the_very_file_that_keras_would_download(
    name: str, alpha: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ARCHITECTURES[name]

    def get_file(_name: str, origin: str, file_hash: str | None = None, **_: object) -> None:
        raise Asked(origin, file_hash)

    constructor = getattr(keras.applications, name)
    monkeypatch.setattr(sys.modules[constructor.__module__].file_utils, "get_file", get_file)
    options = {} if alpha is None else {"alpha": alpha}
    with pytest.raises(Asked) as caught:
        constructor(include_top=False, input_shape=(row.input_size, row.input_size, 3), **options)
    file = row.file if alpha is None else row.file.format(alpha=ALPHAS[alpha])
    assert caught.value.args == (f"{HOST}/{file}", row.md5)
