"""`graft backbones`, as its door runs it."""

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
from tasks.backbone.catalogue.classification import best, class_names
from tasks.backbone.registry import CLASS_INDEX, architectures
from tasks.common.errors import GraftError
from tests.tasks.conftest import ROOT, noise

INDEX = {str(place): [f"n{place:08}", f"class_{place}"] for place in range(1000)}


def backbones(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "backbones", *arguments]
    environment = os.environ | {"GRAFT_CACHE": str(cache), "GRAFT_OFFLINE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)


def test_all_networks_are_listed_with_what_they_cost_and_the_speed_measured_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    speeds.save("VGG16", 7.26)
    done = backbones(cache=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
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
    shown = {line.split()[0]: line.split()[1:] for line in lines[1 : 1 + len(architectures())]}
    assert list(shown) == list(architectures())
    assert shown["MobileNet"] == ["3,228,864", "224", "1,024", "13", "Apache-2.0"]
    assert shown["VGG16"] == ["14,714,688", "224", "512", "59", "7", "CC-BY-4.0"]


def test_a_network_is_shown_with_its_layers_its_cuts_and_its_parameters(tmp_path: Path) -> None:
    done = backbones("show", "MobileNet", "--top", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "cut", "at"]
    assert lines[-2] == "MobileNet: 4,253,864 parameters, 4,231,976 trainable, 21,888 not trainable"
    assert next(line for line in lines if line.startswith("conv_preds")).split() == (
        ["conv_preds", "Conv2D", "1x1x1000", "1,025,000", "0.978"]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["show", "VGG17"], 1, "graft backbones: error: backbone.name 'VGG17' is unknown. Did you mean 'VGG19'?"),
        (["classify", "VGG17", "a.png"], 1, "graft backbones: error: backbone.name 'VGG17' is unknown."),
        (
            ["classify", "backbones.small:build", "a.png"],
            1,
            "graft backbones: error: backbone.name 'backbones.small:build'",
        ),
        (["measure", "VGG17"], 1, "graft backbones: error: backbone.name 'VGG17' is unknown."),
        (["shw"], 2, "graft backbones: error: argument command: invalid choice: 'shw'"),
        (["show"], 2, "graft backbones show: error: the following arguments are required: name"),
        (["classify", "VGG16"], 2, "graft backbones classify: error: the following arguments are required: IMAGE"),
        (["show", "VGG16", "--input-size", "20"], 1, "VGG16 takes images of at least 32 pixels."),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(tmp_path: Path, arguments: list[str], code: int, told: str) -> None:
    done = backbones(*arguments, cache=tmp_path)
    assert done.returncode == code
    assert told in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Put an index of 1,000 classes where it is kept; its hash is not the published one."""
    path = tmp_path / "weights" / CLASS_INDEX.name
    path.parent.mkdir()
    path.write_text(json.dumps(INDEX))
    return path


def test_images_are_classified_by_the_network_as_it_came_and_a_bad_one_is_named_and_survived(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tasks.backbone.catalogue import classification

    monkeypatch.setattr(classification, "fetch", lambda *_: index)
    for name in ("one", "two"):
        Image.fromarray(noise(1, 50, 60)).save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_text("no image")
    paths = [tmp_path / f"{name}.png" for name in ("one", "bad", "two")]
    assert classification.classify("MobileNetV2", paths, "none", None, 0.35) == 1
    shown = capsys.readouterr()
    assert f"{tmp_path / 'bad.png'}: not an image in a known format" in shown.err
    rows = [line.split() for line in shown.out.splitlines()[1:]]
    assert [row[-3] for row in rows] == ["1", "2", "3", "4", "5"] * 2
    assert [row[-2:] for row in rows[:5]] == [row[-2:] for row in rows[5:]]
    assert (rows[0][0], rows[5][0]) == (str(paths[0]), str(paths[2]))


def test_the_most_probable_classes_come_first() -> None:
    probabilities = np.zeros(1000, np.float32)
    probabilities[[7, 3, 999, 0, 5]] = [0.1, 0.5, 0.2, 0.05, 0.15]
    assert [name for name, _ in best(probabilities, [f"c{place}" for place in range(1000)])] == (
        ["c3", "c999", "c5", "c7", "c0"]
    )


def test_a_network_with_other_classes_than_imagenets_is_refused() -> None:
    with pytest.raises(GraftError, match=r"has an output of \(10,\); expected ImageNet's 1,000 classes"):
        best(np.zeros(10, np.float32), [""] * 1000)


@pytest.mark.parametrize("content", ["[]", "{}", "no JSON", '{"0": []}', '{"0": 5}', "\x00"])
def test_a_spoilt_index_of_classes_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "index.json"
    path.write_text(content)
    with pytest.raises(GraftError) as caught:
        class_names(path)
    assert str(caught.value) == f"{path} is no index of ImageNet's 1,000 classes. Delete it; it is fetched again."


class Index(BaseHTTPRequestHandler):
    """Serves another index than the published one."""

    def do_GET(self) -> None:
        """Answer with the made-up classes."""
        content = json.dumps(INDEX).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def mirror() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_index_of_classes_that_is_not_the_published_one_is_refused(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFT_MIRROR", mirror)
    monkeypatch.setenv("GRAFT_OFFLINE", "0")
    command = [sys.executable, "-m", "tasks.backbone.catalogue", "classify", "VGG16", "a.png", "--weights", "none"]
    environment = os.environ | {"GRAFT_CACHE": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 75
    assert f"arrived damaged: expected MD5 {CLASS_INDEX.digest}" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("content", ["", "[]", "no JSON", '{"elsewhere": {"VGG16": 1}}'])
def test_a_spoilt_or_another_machines_record_of_speeds_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    (tmp_path / "speeds.json").write_text(content)
    assert speeds.load() == {}
    speeds.save("VGG16", 7.26)
    assert speeds.load() == {"VGG16": 7.3}


def test_a_measured_network_is_told_with_its_conversion_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tasks.backbone.catalogue import measurement

    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(measurement, "SECONDS", 0.0)
    measurement.measure_all([architectures()["MobileNet"]._replace(input_size=32)])
    assert list(speeds.load()) == ["MobileNet"]
    assert "MobileNet: " in capsys.readouterr().err
