import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from tests.conftest import ROOT


def predict(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "predict.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a model that names the strongest colour, two images, and files that are neither."""
    folder = tmp_path_factory.mktemp("examples")
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
        helper.make_node("Softmax", ["means"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "without_classes.onnx")
    helper.set_model_props(model, {"classes": json.dumps(["red", "green", "blue"])})
    onnx.save(model, folder / "model.onnx")
    for name, colour in {"red": (200, 0, 0), "blue": (0, 10, 180)}.items():
        Image.fromarray(np.full((5, 7, 3), colour, np.uint8)).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("neither a model nor an image")
    (folder / "images").mkdir()
    return folder


def test_each_image_gets_a_line_with_its_class_and_probabilities(folder: Path) -> None:
    completed = predict("model.onnx", "red.png", "blue.png", cwd=folder)
    assert completed.returncode == 0, completed.stderr
    lines = [json.loads(line) for line in completed.stdout.splitlines()]
    assert lines == [
        {"path": "red.png", "class": "red", "probabilities": [1.0, 0.0, 0.0]},
        {"path": "blue.png", "class": "blue", "probabilities": [0.0, 0.0, 1.0]},
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param([], 2, "usage: python predict.py MODEL.onnx IMAGE...", id="no arguments"),
        pytest.param(["model.onnx"], 2, "usage: python predict.py MODEL.onnx IMAGE...", id="no image"),
        pytest.param(["none.onnx", "red.png"], 1, "error: none.onnx is not a file", id="missing model"),
        pytest.param(["model.onnx", "images"], 1, "error: images is not a file", id="folder of images"),
        pytest.param(
            ["notes.txt", "red.png"], 1, "error: notes.txt is not a model that Graft exported:", id="not a model"
        ),
        pytest.param(
            ["without_classes.onnx", "red.png"],
            1,
            "error: without_classes.onnx is not a model that Graft exported: 'classes'",
            id="model from elsewhere",
        ),
        pytest.param(["model.onnx", "notes.txt"], 1, "error: notes.txt cannot be read as an image:", id="not an image"),
    ],
)
def test_a_wrong_argument_ends_in_one_line(folder: Path, arguments: list[str], code: int, message: str) -> None:
    completed = predict(*arguments, cwd=folder)
    assert completed.returncode == code
    assert completed.stderr.startswith(message)
    assert completed.stderr.count("\n") == 1
