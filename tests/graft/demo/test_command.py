"""The command `graft demo`: the folder that it makes, its server, and its answers to bad input."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graft import GraftError
from graft.demo.command import main
from graft.demo.facts import describe
from graft.demo.server import make_server
from graft.demo.training_images import MOST_IMAGES, TrainingImage, choose
from graft.demo.web_runtime import FILES
from tasks.onnx import graphs
from tests.conftest import ROOT
from tests.graft.models import METADATA, colour_model

ROWS = [
    {"path": "<b>reds/0.png", "label": "red", "split": "train"},
    {"path": "blues/1.png", "label": "blue", "split": "train"},
    {"path": "blues/2.png", "label": "blue", "split": "test"},
]


def describe_similar(site: Path) -> Any:
    return json.loads((site / "model.json").read_text(encoding="utf-8"))["similar"]


def write_table(path: Path, rows: list[dict[str, str]] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(scope="module")
def bad_input(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of things that the command refuses, beside what it takes."""
    root = tmp_path_factory.mktemp("bad")
    for name in ("pictures", "training"):
        (root / name).symlink_to(folder / name)
    shutil.copy(folder / "model.onnx", root)
    model = colour_model()
    del model.graph.output[-1]
    graphs.save(model, root / "bare.onnx")
    shutil.copytree(folder / "site", root / "edited")
    (root / "edited" / ".git").mkdir()
    (root / "old" / "dist").mkdir(parents=True)
    (root / "old" / "package.json").write_text('{"name": "onnxruntime-web", "version": "1.2.3"}')
    for name in FILES:
        (root / "old" / "dist" / name).touch()
    shutil.make_archive(str(root / "all"), "zip", folder / "training")
    write_table(root / "empty.parquet", ROWS[2:])
    write_table(root / "other.parquet", [{"path": "a.png"}])
    write_table(root / "away.parquet", [ROWS[0] | {"path": "../secret.png"}])
    (root / "cut.parquet").write_bytes(b"PAR1")
    return root


def test_the_server_gives_each_file_with_the_type_that_browsers_demand(folder: Path, address: str) -> None:
    types = {
        "": "text/html; charset=utf-8",
        "style.css": "text/css",
        "app.js": "text/javascript",
        "model.json": "application/json",
        "model.onnx": "application/octet-stream",
        "runtime/ort.wasm.min.mjs": "text/javascript",
        "runtime/ort-wasm-simd-threaded.wasm": "application/wasm",
        "similar.webp": "image/webp",
    }
    for name, kind in types.items():
        answer = httpx.get(address + name)
        assert (name, answer.headers["content-type"]) == (name, kind)
        assert answer.content == (folder / "site" / (name or "index.html")).read_bytes()


def test_every_address_in_the_page_is_relative() -> None:
    for file in (ROOT / "graft" / "demo" / "static").iterdir():
        assert "://" not in file.read_text(encoding="utf-8"), file.name


def test_the_facts_are_sentences_about_the_model() -> None:
    facts = describe(METADATA)
    summary = "This model tells 3 classes apart: red, green and blue. It was right about 90.0% of pictures"
    assert facts["summary"] == f"{summary} that it had not seen."
    assert facts["threshold"] == 0.5
    assert dict(facts["facts"]) == {
        "Classes": "3: red, green and blue",
        "Accuracy": "90.0% (95% interval: 80.0% to 95.0%) on 9 pictures that it had not seen",
        "Unknown": "Pictures whose resemblance to the training images is below 0.50; that holds for about 5% of "
        "pictures like these too",
        "Trained on": "6 pictures",
        "Network": "colours, weights none",
        "Licence of the weights": "Apache-2.0",
        "Exported by": "Graft 0.1.0",
    }


def test_many_classes_are_abbreviated() -> None:
    facts = describe(dataclasses.replace(METADATA, classes=[f"c{number}" for number in range(1000)], metrics={}))
    names = ", ".join(f"c{number}" for number in range(11))
    assert facts["summary"] == f"This model tells 1,000 classes apart: {names} and 989 more."


def test_facts_of_another_type_than_expected_are_left_out() -> None:
    other: dict[str, Any] = {
        "metrics": {"accuracy": "high"},
        "novelty": {"threshold": float("nan")},
        "dataset": {"images": 7},
        "backbone": [1],
        "graft": "",
    }
    facts = describe(dataclasses.replace(METADATA, **other))
    assert facts["threshold"] is None
    assert [name for name, _ in facts["facts"]] == ["Classes", "Unknown"]
    json.dumps(facts, allow_nan=False)


def test_training_images_are_taken_evenly_from_the_classes_and_from_all_of_each() -> None:
    counts = {"a": 900, "b": 40, "c": 900}
    images = [TrainingImage(Path(), label, str(number)) for label, most in counts.items() for number in range(most)]
    chosen = choose(images)
    assert len(chosen) == MOST_IMAGES
    assert [[image.label for image in chosen].count(label) for label in counts] == [130, 40, 130]
    numbers = [int(image.name) for image in chosen if image.label == "a"]
    assert {later - earlier for earlier, later in pairwise(numbers)} == {6, 7}
    assert choose(images[-3:]) == images[-3:]


def test_an_earlier_page_is_replaced_and_a_link_to_its_folder_is_followed(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "site", tmp_path / "site")
    (tmp_path / "link").symlink_to("site")
    main(["--model", str(folder / "model.onnx"), "--out", str(tmp_path / "link"), "--no-serve"])
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "site"]
    assert not (tmp_path / "site" / "similar.bin").exists()


def test_training_images_come_from_the_table_of_the_repository(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder / "training", "data/digits")  # the source in the committed params.yaml
    shutil.copy(ROOT / "params.yaml", ".")
    write_table(tmp_path / "artifacts" / "validation" / "accepted.parquet")
    main(["--model", str(folder / "model.onnx"), "--out", "site", "--no-serve"])
    items = [{"label": row["label"], "path": row["path"]} for row in ROWS[:2]]
    assert describe_similar(tmp_path / "site")["items"] == items
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "graft demo: wrote site, with thumbnails of 2 training images; any static host can serve it",
        "graft demo: whoever gets the folder sees these images; --no-training-images leaves them out",
    ]
    main(["--model", str(folder / "model.onnx"), "--out", "site", "--no-serve", "--no-training-images"])
    assert capsys.readouterr().err == "graft demo: wrote site; any static host can serve it\n"
    assert describe_similar(tmp_path / "site") is None
    assert not list((tmp_path / "site").glob("similar.[bw]*"))
    shutil.rmtree("data")
    main(["--model", str(folder / "model.onnx"), "--out", "site", "--no-serve"])
    first = "graft demo: the page shows no similar training images: data/digits is missing."
    assert capsys.readouterr().err.startswith(first)


def test_images_that_cannot_be_read_are_counted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    main(["--model", "model.onnx", "--images", "pictures/*e*.png", "--out", str(tmp_path / "site"), "--no-serve"])
    assert "1 training image cannot be read and are left out; first: pictures/no picture.png" in capsys.readouterr().err
    names = [item["path"] for item in describe_similar(tmp_path / "site")["items"]]
    assert "pictures/red.png" in names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--out", "pictures"], "pictures exists and is not the folder of a page", id="other folder"),
        pytest.param(["--out", "model.onnx"], "model.onnx exists and is not the folder of a page", id="a file"),
        pytest.param(["--out", "edited"], "edited would be replaced, and holds '.git'", id="edited page"),
        pytest.param(["--runtime", "pictures"], "pictures is not the folder of the npm package", id="no runtime"),
        pytest.param(["--runtime", "old"], "old holds onnxruntime-web 1.2.3; the page needs 1.30.0.", id="old runtime"),
        pytest.param(["--model", "pictures/no picture.png"], "cannot be loaded by ONNX Runtime", id="no model"),
        pytest.param(["--images", "nothing*.png"], "no file matches 'nothing*.png'", id="no images"),
        pytest.param(["--images", "all.zip"], "all.zip is an archive. Extract it", id="archive"),
        pytest.param(["--images", "pictures/no picture.png"], "none of 1 training image can be read", id="unreadable"),
        pytest.param(["--images", "empty.parquet"], "empty.parquet names no training images.", id="no training rows"),
        pytest.param(
            ["--images", "other.parquet"], "other.parquet is not the table accepted.parquet", id="other table"
        ),
        pytest.param(["--images", "cut.parquet"], "cut.parquet cannot be read: ", id="no table"),
        pytest.param(["--images", "away.parquet"], "names the image '../secret.png', which is outside", id="outside"),
        pytest.param(
            ["--model", "bare.onnx", "--images", "training"], "bare.onnx has no output 'features'", id="no features"
        ),
    ],
)
def test_bad_input_ends_in_one_line_and_writes_nothing(
    bad_input: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(bad_input)
    before = sorted(path.name for path in bad_input.iterdir())
    with pytest.raises(GraftError) as caught:
        main(["--model", "model.onnx", "--out", "new", "--no-serve", *arguments])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in bad_input.iterdir()) == before
    assert (bad_input / "edited" / ".git").exists()


def test_the_command_serves_on_a_free_port_until_it_is_interrupted(folder: Path) -> None:
    command = [sys.executable, "-m", "graft", "demo", "--model", str(folder / "model.onnx"), "--port", "0"]
    process = subprocess.Popen([*command, "--out", str(folder / "served")], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = [""]
    while "open http" not in lines[-1]:
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    assert httpx.get(lines[-1].split()[3] + "model.json").json()["similar"] is None
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr.read() == "graft demo: interrupted\n"


def test_a_port_in_use_is_named_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    with make_server(folder, 0) as server:
        port = server.server_address[1]
        with pytest.raises(GraftError) as caught:
            main(["--model", str(folder / "model.onnx"), "--out", str(tmp_path / "new"), "--port", str(port)])
    assert str(caught.value) == f"port {port} is in use. Choose another --port, or 0 for any that is free."
    assert not (tmp_path / "new").exists()


def test_a_page_that_is_closed_while_it_loads_is_no_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with make_server(folder, 0) as server:
        for error in (BrokenPipeError(), ValueError("a defect")):
            try:
                raise error
            except (BrokenPipeError, ValueError):
                server.handle_error(None, ("127.0.0.1", 1))
    lines = capsys.readouterr().err
    assert "ValueError: a defect" in lines
    assert "BrokenPipeError" not in lines
