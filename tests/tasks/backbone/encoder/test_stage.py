import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tasks.backbone.encoder import faults
from tasks.backbone.encoder.description import print_encoder
from tasks.backbone.encoder.stage import prepare_encoder
from tasks.common.errors import GraftError
from tasks.common.params import Backbone, Params
from tasks.extraction.recipe import make_recipe, read_augmentation
from tasks.onnx.int8.quantization import quantize_backbone
from tasks.onnx.sessions import Session
from tests.tasks.backbone.encoder.encoders import branching, convnet, vit
from tests.tasks.backbone.encoder.test_preprocessing import CLIP
from tests.tasks.conftest import ROOT, hash_file, noise

Write = Callable[..., Backbone]


@pytest.fixture
def write(tmp_path: Path, settings: Params, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Give a function that writes an encoder into the folder `backbones` of a project, and returns its params."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "backbones" / "vit.onnx"
    path.parent.mkdir()

    def run(model: onnx.ModelProto, **changes: Any) -> Backbone:
        onnx.save(model, path)
        published = CLIP | {"size": {"shortest_edge": 36}, "crop_size": 32}
        path.with_name("preprocessor_config.json").write_text(json.dumps(published))
        named = {"name": "backbones/vit.onnx", "weights": "none", "sha256": hash_file(path)}
        return settings.backbone.model_copy(update=named | changes)

    return run


def test_an_encoder_becomes_a_backbone_with_its_published_preprocessing(tmp_path: Path, write: Write) -> None:
    params = write(vit(), pooling="cls")
    prepare_encoder(params, "auto", tmp_path / "out")
    prepare_encoder(params, None, tmp_path / "again")
    names = ["backbone.json", "backbone.onnx"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*names, "keras"]
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == [
        (tmp_path / "again" / name).read_bytes() for name in names
    ]
    facts = json.loads((tmp_path / "out" / "backbone.json").read_text())
    resize = {"size": 32, "fit": "crop", "crop_share": 32 / 36, "pad_colour": [0, 0, 0], "interpolation": "bicubic"}
    assert facts == {
        "name": "backbones/vit.onnx",
        "weights": "vit.onnx",
        "weights_sha256": params.sha256,
        "licence": "own",
        "include_top": False,
        "input_size": 32,
        "resize": resize,
        "alpha": None,
        "mode": "encoder",
        "preprocessing": {
            "origin": "preprocessor_config.json",
            "scale": 1 / 255,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
        "pooling": "cls",
        "batch": "open batch",
        "taps": ["last_hidden_state"],
        "width": 8,
        "parameters": 6400,
        "opset": 18,
        "layers": ["last_hidden_state"],
        "cuts": [],
    }
    assert list((tmp_path / "out" / "keras").iterdir()) == []


@pytest.mark.parametrize("batch", ["batch", 1], ids=["open batch", "scan"])
def test_the_recipe_of_features_reads_the_backbone(
    tmp_path: Path, write: Write, settings: Params, batch: int | str
) -> None:
    prepare_encoder(write(vit(batch)), None, tmp_path / "out")
    model = onnx.load(tmp_path / "out" / "backbone.onnx")
    recipe = make_recipe(model, read_augmentation(settings.augmentation), "onnxruntime", "float32")
    assert recipe.taps == (("last_hidden_state", "features", 8, 1.0),)
    assert recipe.preprocessing.size == 32
    assert Session(model, threads=1)(noise(0, 50, 40)[None]).shape == (1, 8)


def test_an_encoder_is_quantized_to_int8(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    prepare_encoder(write(convnet()), None, tmp_path / "out")
    model = onnx.load(tmp_path / "out" / "backbone.onnx")
    quantized = quantize_backbone(model)
    assert sum(node.op_type == "QuantizeLinear" for node in quantized.graph.node) == 2
    expected, actual = (Session(part, threads=1)(noise(0, 32, 32)[None]) for part in (model, quantized))
    np.testing.assert_allclose(actual, expected, atol=0.02 * np.abs(expected).max())


def test_an_encoder_without_layers_for_int8_is_refused_in_one_line(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    prepare_encoder(write(branching()), None, tmp_path / "out")
    with pytest.raises(
        GraftError, match="^features.precision is int8, but the base has no layer that can be quantized:"
    ):
        quantize_backbone(onnx.load(tmp_path / "out" / "backbone.onnx"))


def test_the_command_does_not_import_tensorflow(tmp_path: Path, write: Write) -> None:
    params = write(convnet())
    text = (ROOT / "params.yaml").read_text()
    for key, value in {"name": params.name, "weights": "none", "sha256": params.sha256}.items():
        text = re.sub(rf"^(backbone:\n(?:  .*\n)*?  {key}: )\S+", rf"\g<1>{value}", text, flags=re.MULTILINE)
    (tmp_path / "params.yaml").write_text(text)
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; "
        "sys.argv[1:] = ['--out', 'out']; from tasks.backbone.__main__ import main; main()"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert result.stdout + result.stderr == (
        "backbone: backbones/vit.onnx, 32x32 pixels, 222 parameters\n"
        "backbone: output maps, preprocessing of preprocessor_config.json, fit crop (share 0.889), bicubic\n"
        "backbone: the graph equals the encoder within 1e-04, 6 features an image\n"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"weights": "imagenet"}, "Set backbone.weights to none.", id="weights"),
        pytest.param({"include_top": True}, "Set backbone.include_top to false.", id="top"),
        pytest.param({"alpha": 0.5}, "Set backbone.alpha to null.", id="alpha"),
        pytest.param({"cut": 0.5}, "Set backbone.cut to null.", id="cut"),
        pytest.param({"taps": [0.5]}, "Set features.taps to null.", id="taps"),
    ],
)
def test_keys_that_an_encoder_leaves_no_choice_in_are_refused(
    tmp_path: Path, write: Write, changes: dict[str, Any], expected: str
) -> None:
    taps = changes.pop("taps", None)
    text = "is set, but backbones/vit.onnx is an encoder: its file has its own weights and one output. "
    with pytest.raises(GraftError, match=re.escape(text + expected) + "$"):
        prepare_encoder(write(convnet(), **changes), taps, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("elsewhere/vit.onnx", "lies outside the folder backbones; move the encoder", id="other folder"),
        pytest.param("backbones/../vit.onnx", "lies outside the folder backbones; move the encoder", id="above"),
        pytest.param("backbones/link/vit.onnx", "lies outside the folder backbones; move the encoder", id="link"),
        pytest.param("backbones/vit2.onnx", "is missing; expected an ONNX file.", id="missing"),
        pytest.param("backbones/folder.onnx", "is a folder; expected an ONNX file.", id="folder"),
    ],
)
def test_the_file_has_to_lie_in_the_folder_that_dvc_tracks(
    tmp_path: Path, write: Write, name: str, expected: str
) -> None:
    params = write(convnet(), name=name)
    (tmp_path / "backbones" / "folder.onnx").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "backbones" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GraftError, match=f"^backbone.name '{re.escape(name)}' {re.escape(expected)}"):
        prepare_encoder(params, None, tmp_path / "out")


def test_a_missing_hash_is_shown(tmp_path: Path, write: Write) -> None:
    digest = write(convnet()).sha256
    expected = (
        "backbone.name is the file 'backbones/vit.onnx', and a file is held to its hash. Set backbone.sha256 to "
        f"{digest}."
    )
    with pytest.raises(GraftError, match=f"^{re.escape(expected)}$"):
        prepare_encoder(write(convnet(), sha256=None), None, tmp_path / "out")


def appended(nodes: list[onnx.NodeProto], **constants: Any) -> onnx.ModelProto:
    """Return the convolutional net with nodes at its end, which lead from `before` to `maps`."""
    model = convnet()
    model.graph.node[-1].output[0] = "before"
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    return model


def test_a_graph_that_fills_the_memory_ends_in_one_line(tmp_path: Path, write: Write) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"]),
        helper.make_node("Add", ["before", "sum"], ["maps"]),
    ]
    model = appended(nodes, huge=np.array([1, 1 << 20, 1 << 20], np.int64))
    with pytest.raises(GraftError, match="^backbones/vit.onnx cannot be ") as raised:
        prepare_encoder(write(model), None, tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_graph_that_never_ends_is_stopped(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Abs", ["state"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    nodes = [helper.make_node("Loop", ["", "true", "before"], ["maps"], body=body)]
    monkeypatch.setattr(faults, "SECONDS", 0.5)
    expected = "^backbones/vit.onnx cannot be used: trying it took more than 0.5 s of processor time. Export it again.$"
    with pytest.raises(GraftError, match=expected):
        prepare_encoder(write(appended(nodes, true=np.array(True))), None, tmp_path / "out")  # noqa: FBT003


def test_the_tensors_of_an_encoder_are_shown(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    params = write(vit())
    print_encoder(params.name)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "tensor kind type shape",
        "pixel_values input float batch x 3 x 32 x 32",
        "last_hidden_state output float batch x 5 x 8",
        "pooler_output output float batch x 8",
        "",
        f"backbones/vit.onnx: opset 17, backbone.sha256: {params.sha256}",
        "no cuts; choose an output with backbone.preprocessing.output, and backbone.pooling for tokens and maps",
    ]
