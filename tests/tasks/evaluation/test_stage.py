import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tasks.common.errors import GraftError
from tasks.common.params import Params
from tasks.evaluation.slices import Slice
from tasks.evaluation.stage import evaluate_model
from tasks.evaluation.thresholds import COLUMNS
from tasks.images.decoding import read
from tasks.onnx import graphs
from tasks.onnx.resize import Resize, resize_graph
from tasks.onnx.sessions import Session
from tasks.store import Store
from tasks.tables import manifest
from tasks.tables.accepted import Accepted
from tasks.tables.manifest import Row
from tests.graft.models import METADATA, write_colour_model
from tests.tasks.conftest import noise, write_accepted, write_photos
from tests.tasks.evaluation.projects import inputs_of, write_inputs

CLASSES = ["dark", "light"]
SIZE = 16


def linear_head(width: int) -> onnx.ModelProto:
    """Return a graph from features of that width to two numbers."""
    weights = np.random.default_rng(0).normal(size=(width, len(CLASSES))).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weights"], ["probabilities"])],
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(CLASSES)])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write_model(path: Path) -> None:
    """Write a model whose probability of `light` is the mean brightness of the resized image."""
    constants = {
        "axes": np.array([1, 2, 3]),
        "slope": np.array([[-1 / 255, 1 / 255]], np.float32),
        "offset": np.array([1, 0], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["resized"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Mul", ["column", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("resized", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(value, name) for name, value in (constants | {"one": np.array([1])}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    model = graphs.join(resize_graph(Resize(SIZE)), model)
    helper.set_model_props(model, {"classes": json.dumps(CLASSES)})
    graphs.save(model, path)


@pytest.fixture
def rows(tmp_path: Path) -> list[Accepted]:
    """Write photos, a model and all other inputs; return the test images, of which the last has a wrong label."""
    rows = write_photos(tmp_path / "photos", 12)
    test = [row for row in rows if row.split == "test"]
    wrong = test[-1]._replace(label="dark")
    inputs = write_inputs(tmp_path, [wrong if row.path == wrong.path else row for row in rows])
    write_model(inputs.model)
    return [*test[:-1], wrong]


def evaluate(folder: Path, settings: Params) -> Path:
    evaluate_model(inputs_of(folder), folder / "out", settings, Store(folder / "store"))
    return folder / "out"


def test_predictions_metrics_and_plots_are_those_of_the_test_images(
    tmp_path: Path, settings: Params, rows: list[Accepted]
) -> None:
    out = evaluate(tmp_path, settings)
    table = pq.read_table(out / "predictions.parquet")
    assert table["path"].to_pylist() == [row.path for row in rows]
    assert table["label"].to_pylist() == ["dark"] * 3 + ["light"] * 2 + ["dark"]
    assert table["predicted"].to_pylist() == ["dark"] * 3 + ["light"] * 3
    np.testing.assert_allclose(np.array(table["probabilities"].to_pylist()).sum(axis=1), 1, rtol=1e-6)
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["images"], metrics["accuracy"]) == (6, pytest.approx(5 / 6))
    confusion = ["actual,predicted", *["dark,dark"] * 3, *["light,light"] * 2, "dark,light"]
    assert (out / "confusion.csv").read_text().splitlines() == confusion
    header, _, line = (out / "classes.csv").read_text().splitlines()
    row = dict(zip(header.split(","), line.split(","), strict=True))
    assert [row[key] for key in ("class", "images", "precision", "recall", "f1")] == (
        ["light", "2", "0.6666666666666666", "1.0", "0.8"]
    )
    bins = [line.split(",")[2:4] for line in (out / "calibration.csv").read_text().splitlines()]
    assert bins == [["images", "right"], ["3", "2"], ["3", "3"]]


def test_a_file_without_thresholds_has_no_figures_of_them_and_an_empty_table(
    tmp_path: Path, settings: Params, rows: list[Accepted]
) -> None:
    out = evaluate(tmp_path, settings)
    assert pq.read_table(out / "predictions.parquet")["known"].to_pylist() == [None] * len(rows)
    metrics = json.loads((out / "metrics.json").read_text())
    assert list(metrics) == [
        *("images", "accuracy", "accuracy_low", "accuracy_high", "confidence"),
        *("macro_f1", "macro_f1_low", "macro_f1_high"),
        *(f"majority_{key}" for key in ("accuracy", "macro_f1", "gain", "gain_low", "gain_high")),
        *(f"pixels_{key}" for key in ("accuracy", "macro_f1", "gain", "gain_low", "gain_high")),
        "calibration_error",
    ]
    assert (out / "operating_points.csv").read_text().splitlines() == [",".join(COLUMNS)]
    assert json.loads((out / "summary.json").read_text()) == {"headline": None, "warnings": []}


def test_the_thresholds_in_the_file_are_tested_on_the_test_images(
    tmp_path: Path, settings: Params, rows: list[Accepted], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, row in enumerate(rows):
        colour = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 200)][number % 4]
        Image.new("RGB", (30, 20), colour).save(tmp_path / "photos" / row.path)
    labels = ["red", "green", "blue", "red", "red", "green"]
    renamed = [row._replace(label=label) for row, label in zip(rows, labels, strict=True)]
    write_accepted(inputs_of(tmp_path).accepted, renamed, tmp_path / "photos")
    points = {"red": {"measure": "recall", "wanted": 0.9, "threshold": 0.5}}
    write_colour_model(
        inputs_of(tmp_path).model, replace(METADATA, operating_points=points, coverage={"share": 0.9, "threshold": 0.3})
    )
    out = evaluate(tmp_path, settings)
    metrics = json.loads((out / "metrics.json").read_text())
    # The fourth image is grey: unknown, and in its set are all three classes.
    assert [metrics[key] for key in ("accuracy", "unknown", "coverage", "set_size")] == [1, 1 / 6, 1, 8 / 6]
    known = pq.read_table(out / "predictions.parquet")["known"].to_pylist()
    assert [value is not None and value < 0.5 for value in known] == [False, False, False, True, False, False]
    header, line = (out / "operating_points.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), line.split(","), strict=True))
    assert [cells[key] for key in ("class", "measure", "images", "predicted", "precision", "recall")] == (
        ["red", "recall", "3", "2", "1.0", "0.6666666666666666"]
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines[-4:] == [
        "evaluation: test accuracy 100.0% (95% interval 61.0% to 100.0%)",
        "evaluation: called unknown 16.7% (95% interval 3.0% to 56.4%)",
        "evaluation: sets of 1.33 classes on average: coverage 100.0% (95% interval 61.0% to 100.0%)",
        (
            "evaluation: class 'red' from 0.5 on: precision 100.0% (95% interval 34.2% to 100.0%), "
            "recall 66.7% (95% interval 20.8% to 93.9%)"
        ),
    ]


def test_kinds_of_images_are_compared_in_a_table_and_on_the_page_with_hostile_names_as_text(
    tmp_path: Path, settings: Params, rows: list[Accepted]
) -> None:
    inputs = inputs_of(tmp_path)
    table = [Row(f"{n}.png", "dark", attributes={"<i>": "<b>" if n % 2 else "x"}) for n in range(20)]
    test = [row._replace(path=path) for row, (path, *_) in zip([rows[0]] * 20, table, strict=True)]
    for row in test:
        (tmp_path / "photos" / row.path).write_bytes((tmp_path / "photos" / rows[0].path).read_bytes())
    write_inputs(tmp_path, test)
    manifest.write(inputs.manifest, table)
    out = evaluate(tmp_path, settings)
    header, *lines = (out / "slices.csv").read_text().splitlines()
    assert header.split(",") == list(Slice._fields)
    assert sorted(line.split(",")[:4] for line in lines) == [
        ["<i>", "<b>", "table", "10"],
        ["<i>", "x", "table", "10"],
    ]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<bdi>&lt;i&gt;</bdi>" in page
    assert "<i>" not in page


def test_an_image_that_changed_since_the_scan_is_refused_by_name(
    tmp_path: Path, settings: Params, rows: list[Accepted]
) -> None:
    image = tmp_path / "photos" / rows[0].path
    image.write_bytes(image.read_bytes() + b"more")
    with pytest.raises(GraftError) as caught:
        evaluate(tmp_path, settings)
    assert str(caught.value) == f"{image} changed since it was scanned. Run `dvc repro` to scan the images again."
    assert not (tmp_path / "out").exists()


def test_the_probabilities_are_those_of_the_whole_file_bit_for_bit_also_from_stored_pixels(
    tmp_path: Path, settings: Params, rows: list[Accepted], backbone: Path
) -> None:
    """A base of many layers, whose fused convolutions would show a difference, and an image large enough to be kept."""
    base = onnx.load(backbone / "backbone.onnx")
    model = graphs.join(base, linear_head(graphs.output_width(base)))
    helper.set_model_props(model, {"classes": json.dumps(CLASSES)})
    graphs.save(model, inputs_of(tmp_path).model)
    photo = tmp_path / "photos" / rows[0].path
    Image.fromarray(noise(0, 300, 400)).save(photo)
    write_accepted(inputs_of(tmp_path).accepted, rows, tmp_path / "photos")
    whole = Session(model, threads=1)
    expected = [whole(read(tmp_path / "photos" / row.path)[None])[0] for row in rows]
    for _ in range(2):
        table = pq.read_table(evaluate(tmp_path, settings) / "predictions.parquet")
        np.testing.assert_array_equal(np.array(table["probabilities"].to_pylist(), np.float32), expected)
        photo.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("file", "stage"), [("export/model.onnx", "export"), ("validation/accepted.parquet", "validation")]
)
@pytest.mark.usefixtures("rows")
def test_a_missing_input_names_the_stage_to_run(tmp_path: Path, settings: Params, file: str, stage: str) -> None:
    (tmp_path / file).unlink()
    with pytest.raises(GraftError, match=f"Run `dvc repro {stage}`"):
        evaluate(tmp_path, settings)
