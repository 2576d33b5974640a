"""The command `graft backbones`."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.backbone.catalogue import speeds
from tasks.backbone.catalogue.__main__ import main
from tasks.backbone.catalogue.classification import classify_images, find_best, read_class_names
from tasks.backbone.catalogue.measurement import measure_all
from tasks.backbone.registry import CLASS_INDEX, load_architectures
from tasks.common.errors import DownloadError, GraftError
from tests.tasks.conftest import ROOT, noise

CLASS_NAMES = [f"class_{position}" for position in range(1000)]
INDEX = {str(position): [f"n{position:08}", name] for position, name in enumerate(CLASS_NAMES)}


def run_backbones(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "backbones", *arguments]
    environment = os.environ | {"GRAFT_CACHE": str(cache), "GRAFT_OFFLINE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)


def test_all_networks_are_listed_with_their_costs_and_the_speed_measured_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    speeds.save("VGG16", 7.26)
    result = run_backbones(cache=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "name",
        "parameters",
        "input",
        "features",
        "weights",
        "MB",
        "images/s",
        "here",
        "licence",
    ]
    shown = {line.split()[0]: line.split()[1:] for line in lines[1 : 1 + len(load_architectures())]}
    assert list(shown) == list(load_architectures())
    assert shown["MobileNet"] == ["3,228,864", "224", "1,024", "13", "Apache-2.0"]
    assert shown["VGG16"] == ["14,714,688", "224", "512", "59", "7", "CC-BY-4.0"]


def run_here(*arguments: str) -> None:
    """Run the command in this process, which has imported TensorFlow already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["backbones", *arguments])
        main()


def test_a_network_is_shown_with_its_layers_cuts_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    run_here("show", "MobileNet", "--top")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "cut", "at"]
    assert lines[-2] == "MobileNet: 4,253,864 parameters, 4,231,976 trainable, 21,888 not trainable"
    assert next(line for line in lines if line.startswith("conv_preds")).split() == (
        ["conv_preds", "Conv2D", "1x1x1000", "1,025,000", "0.978"]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "VGG17"], 1, "graft backbones: error: backbone.name 'VGG17' is unknown. Did you mean 'VGG19'?"),
        (["classify", "VGG17", "a.png"], 1, "graft backbones: error: backbone.name 'VGG17' is unknown."),
        (
            ["classify", "backbones.small:build", "a.png"],
            1,
            "graft backbones: error: backbone.name 'backbones.small:build'",
        ),
        (["measure", "VGG17"], 1, "graft backbones: error: backbone.name 'VGG17' is unknown."),
        (
            ["measure", "backbones/vit.onnx"],
            1,
            "measure needs the name of a network, and backbones/vit.onnx is an encoder. See `graft backbones` for",
        ),
        (["shw"], 2, "graft backbones: error: argument command: invalid choice: 'shw'"),
        (["show"], 2, "graft backbones show: error: the following arguments are required: name"),
        (["classify", "VGG16"], 2, "graft backbones classify: error: the following arguments are required: IMAGE"),
    ],
    ids=[
        *("show unknown", "classify unknown", "classify custom", "measure unknown", "measure encoder"),
        *("unknown command", "show nothing", "classify nothing"),
    ],
)
def test_a_wrong_argument_is_reported_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    result = run_backbones(*arguments, cache=tmp_path)
    assert result.returncode == code
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_size_that_is_too_small_is_refused() -> None:
    with pytest.raises(GraftError, match=r"VGG16 takes images of at least 32 pixels\."):
        run_here("show", "VGG16", "--input-size", "20")


def test_images_are_classified_by_the_networks_own_top_and_an_unreadable_one_is_named_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "second"):
        Image.fromarray(noise(1, 50, 60)).save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_text("no image")
    paths = [tmp_path / f"{name}.png" for name in ("first", "bad", "second")]
    assert classify_images(paths, "MobileNetV2", "none", None, 0.35, CLASS_NAMES) == 1
    shown = capsys.readouterr()
    assert f"{tmp_path / 'bad.png'}: not an image in a known format" in shown.err
    rows = [line.split() for line in shown.out.splitlines()[1:]]
    assert [row[-3] for row in rows] == ["1", "2", "3", "4", "5"] * 2
    assert [row[-2:] for row in rows[:5]] == [row[-2:] for row in rows[5:]]
    assert (rows[0][0], rows[5][0]) == (str(paths[0]), str(paths[2]))


def test_the_most_probable_classes_come_first() -> None:
    probabilities = np.zeros(1000, np.float32)
    probabilities[[7, 3, 999, 0, 5]] = [0.1, 0.5, 0.2, 0.05, 0.15]
    assert [name for name, _ in find_best(probabilities, CLASS_NAMES)] == (
        ["class_3", "class_999", "class_5", "class_7", "class_0"]
    )


def test_a_network_with_other_classes_than_imagenets_is_refused() -> None:
    with pytest.raises(GraftError, match=r"has an output of \(10,\); expected ImageNet's 1,000 classes"):
        find_best(np.zeros(10, np.float32), CLASS_NAMES)


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", "no JSON", '{"0": []}', '{"0": 5}', "\x00"],
    ids=["list", "empty", "no JSON", "no name", "no pair", "NUL"],
)
def test_a_damaged_class_index_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "index.json"
    path.write_text(content)
    with pytest.raises(GraftError) as caught:
        read_class_names(path)
    assert str(caught.value) == f"{path} is no index of ImageNet's 1,000 classes. Delete it; it is fetched again."


class IndexHandler(BaseHTTPRequestHandler):
    """Serves a class index that is not the published one."""

    def do_GET(self) -> None:
        """Answer with the index."""
        content = json.dumps(INDEX).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def mirror() -> Iterator[str]:
    """Serve the index on loopback; return the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), IndexHandler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_class_index_that_is_not_the_published_one_is_refused(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_MIRROR", mirror)
    monkeypatch.setenv("GRAFT_OFFLINE", "0")
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match=f"arrived damaged: expected MD5 {CLASS_INDEX.digest}"):
        run_here("classify", "VGG16", "a.png", "--weights", "none")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "no JSON", '{"elsewhere": {"VGG16": 1}}'],
    ids=["empty", "list", "no JSON", "another machine"],
)
def test_a_damaged_record_of_speeds_or_one_of_another_machine_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    (tmp_path / "speeds.json").write_text(content)
    assert speeds.load() == {}
    speeds.save("VGG16", 7.26)
    assert speeds.load() == {"VGG16": 7.3}


def test_a_measured_network_is_reported_and_its_speed_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    measure_all([load_architectures()["MobileNet"]._replace(input_size=32)], min_seconds=0)
    assert list(speeds.load()) == ["MobileNet"]
    assert "MobileNet: " in capsys.readouterr().err
