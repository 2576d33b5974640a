import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image, TiffImagePlugin

from examples.predict import read
from tasks.images.decoding import decode
from tests.conftest import ROOT
from tests.tasks.images.valid_files import VALID_FILES

COLOURS = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8), "RGBA")
PHOTO = COLOURS.convert("RGB")
GREYS = np.asarray(PHOTO.convert("L")).astype(np.uint16)
BAD_RATIONAL_EXIF = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack(
    "<HHHIHHHHII4xii", 2, 0x112, 3, 1, 6, 0, 0x11A, 10, 1, 38, -1, 0
)


def predict(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the example in the folder `cwd`; modules in the folder `path` come before those that are installed."""
    command = [sys.executable, str(ROOT / "examples" / "predict.py"), *arguments]
    environment = os.environ | ({} if path is None else {"PYTHONPATH": str(path)})
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


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


def orientation(value: int) -> Image.Exif:
    """Return EXIF data that hold an orientation alone."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def integer_xmp() -> TiffImagePlugin.ImageFileDirectory_v2:
    """Return TIFF tags with XMP that is an integer."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[700] = 5
    tags.tagtype[700] = 4
    return tags


@pytest.mark.parametrize(
    ("image", "suffix", "options"),
    [
        *(pytest.param(PHOTO, "jpg", {"exif": orientation(value)}, id=f"orientation {value}") for value in range(1, 9)),
        pytest.param(PHOTO, "tif", {"exif": orientation(6)}, id="TIFF with orientation 6"),
        pytest.param(PHOTO, "jpg", {"exif": BAD_RATIONAL_EXIF}, id="bad EXIF value"),
        pytest.param(PHOTO, "tif", {"tiffinfo": integer_xmp()}, id="XMP of a wrong type"),
        pytest.param(PHOTO, "jpg", {"exif": b"Exif\0\0no directory"}, id="damaged EXIF data"),
        pytest.param(PHOTO, "png", {"icc_profile": b"a" * 2_000_000}, id="colour profile of 2 MB"),
        pytest.param(PHOTO.convert("CMYK"), "jpg", {}, id="CMYK"),
        pytest.param(PHOTO.convert("L"), "jpg", {}, id="grey"),
        pytest.param(PHOTO.convert("1"), "png", {}, id="black and white"),
        pytest.param(COLOURS, "png", {}, id="transparency"),
        pytest.param(COLOURS, "webp", {"exif": orientation(5)}, id="transparency and orientation 5"),
        pytest.param(COLOURS.convert("LA"), "png", {}, id="grey with transparency"),
        pytest.param(PHOTO.convert("P"), "png", {}, id="palette"),
        pytest.param(PHOTO.convert("P"), "png", {"transparency": 3, "exif": orientation(8)}, id="transparent palette"),
        pytest.param(PHOTO, "gif", {}, id="GIF"),
        pytest.param(PHOTO, "bmp", {}, id="BMP"),
        pytest.param(Image.fromarray(GREYS * 257), "png", {"exif": orientation(6)}, id="16-bit PNG"),
        pytest.param(Image.fromarray(GREYS * 16), "png", {}, id="dark 16-bit PNG"),
        pytest.param(Image.fromarray(GREYS * 257), "tif", {}, id="16-bit TIFF"),
        pytest.param(Image.fromarray(GREYS * 16), "tif", {"exif": orientation(6)}, id="12-bit greys in a 16-bit TIFF"),
        pytest.param(Image.fromarray(GREYS.astype(np.int32)), "tif", {}, id="int32 TIFF"),
        pytest.param(Image.fromarray(GREYS.astype(np.float32)), "tif", {}, id="float TIFF from 0 to 255"),
        pytest.param(Image.fromarray((GREYS / 255).astype(np.float32)), "tif", {}, id="float TIFF from 0 to 1"),
    ],
)
def test_the_example_decodes_a_file_to_the_same_pixels_as_the_stages(
    image: Image.Image, suffix: str, options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / f"image.{suffix}"
    image.save(path, **options)
    np.testing.assert_array_equal(read(str(path)), decode(path.read_bytes())[0])


@pytest.mark.parametrize("name", VALID_FILES)
def test_the_example_reads_every_format_that_the_stages_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(VALID_FILES[name][1])
    np.testing.assert_array_equal(read(str(tmp_path / "image")), decode(VALID_FILES[name][1]).pixels)


def test_without_its_decoder_a_heic_file_is_refused_with_the_package_that_it_needs(folder: Path) -> None:
    (folder / "phone.heic").write_bytes(VALID_FILES["HEIF"][1])
    (folder / "pi_heif.py").write_text("raise ImportError")
    completed = predict("model.onnx", "phone.heic", cwd=folder, path=folder)
    assert completed.returncode == 1
    assert completed.stderr == (
        "error: phone.heic cannot be read as an image: HEIC needs pi-heif: pip install pi-heif\n"
    )


def test_greys_of_no_known_range_are_refused_in_one_line(folder: Path) -> None:
    Image.fromarray(np.full((2, 2), -1, np.float32)).save(folder / "negative.tif")
    completed = predict("model.onnx", "negative.tif", cwd=folder)
    assert completed.returncode == 1
    assert completed.stderr == (
        "error: negative.tif cannot be read as an image: grey values from -1 to -1 do not fit 16 bits\n"
    )
