"""Train in a process of its own, because the number of TensorFlow's threads is fixed once it runs."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tasks.tables import features, held_out, reference
from tests.tasks.conftest import ROOT

FILES = (
    "candidates.csv", "choice.json", "depth.csv", "head.json", "head.onnx", "head.weights.h5", "held_out.parquet",
    "history.csv", "known.onnx", "metrics.json", "reference.parquet", "start.json", "start.weights.h5", "summary.json",
)  # fmt: skip
SPLITS = ("train", "train", "train", "val", "test")
IMAGES = 75
PATHS = [f"{number}.png" for number in range(IMAGES)]
SCRIPT = """
from pathlib import Path
from tasks.common import params
from tasks.head.search import hidden_candidates
from tasks.head.stage import train_head
def train(name, file="features.parquet", **changes):
    section = params.load(Path("params.yaml")).head.model_copy(update={"epochs": 2} | changes)
    train_head(Path(file), Path("accepted.parquet"), Path(name), section, choose_taps=True)
train("first", search="grid")
train("second", search="grid")
train("off", search="off", class_weight="balanced")
train("again", search="off", class_weight="balanced")
hidden_candidates.LEAST_IMAGES = 1
train("hidden", "crossed.parquet", search="grid", hidden=[16], learning_rate=0.05, epochs=40)
"""


def write_features(
    path: Path, targets: npt.NDArray[np.int64], vectors: npt.NDArray[np.float64], taps: Sequence[features.Tap]
) -> None:
    labels = [f"class {target}" for target in targets]
    splits = [SPLITS[number // 4 % len(SPLITS)] for number in range(IMAGES)]
    block = features.Block(PATHS, labels, splits, np.zeros(IMAGES, np.uint16), vectors.astype(np.float32))
    features.write(path, taps, [block])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train with the search, without it, and with hidden layers, on features of three classes that lie apart.

    The first tap tells the classes apart, the second is noise. Only a network with hidden layers can tell the classes
    of crossed.parquet apart: they are the two diagonals of a square.
    """
    folder = tmp_path_factory.mktemp("head")
    random = np.random.default_rng(0)
    numbers = np.arange(IMAGES)
    useful = random.normal(np.repeat((numbers % 3)[:, None], 6, axis=1), 0.3)
    vectors = np.concatenate([useful, random.normal(size=(IMAGES, 20))], axis=1)
    taps = [features.Tap("low", 6, 0.5), features.Tap("top", 20, 1.0)]
    write_features(folder / "features.parquet", numbers % 3, vectors, taps)
    corners = np.stack([numbers % 2, numbers // 2 % 2], axis=1)
    crossed = 4 * corners + random.normal(scale=0.3, size=(IMAGES, 2))
    write_features(folder / "crossed.parquet", corners[:, 0] ^ corners[:, 1], crossed, [features.Tap("low", 2, 1.0)])
    rows = [{"path": path, "label": "", "split": "", "sha256": "", "group": None} for path in PATHS]
    schema = pa.schema([(name, pa.string()) for name in ("path", "label", "split", "sha256")] + [("group", pa.int64())])
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "accepted.parquet")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=environment, check=True, timeout=300)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def content(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    return result


@pytest.mark.parametrize(("first", "second"), [("first", "second"), ("off", "again")])
def test_the_same_seed_writes_the_same_bytes(trained: Path, first: str, second: str) -> None:
    ours, again = ({path.name: path.read_bytes() for path in (trained / name).iterdir()} for name in (first, second))
    assert sorted(ours) == sorted(FILES)
    assert ours == again


@pytest.mark.parametrize(
    ("name", "file", "classes"),
    [("first", "features", 3), ("off", "features", 3), ("hidden", "crossed", 2)],
)
def test_the_exported_head_gives_the_recorded_probabilities(trained: Path, name: str, file: str, classes: int) -> None:
    paths, probabilities, names = reference.read(trained / name / "reference.parquet")
    assert names == [f"class {number}" for number in range(classes)]
    assert paths == [f"{number}.png" for number in range(IMAGES) if number // 4 % len(SPLITS) == 3]
    model = onnx.load(trained / name / "head.onnx")
    layers = json.loads(graphs.metadata(model)["taps"])
    assert layers == content(trained / name / "choice.json")["taps"]
    every = features.read(trained / f"{file}.parquet")
    parts = dict(
        zip([tap.layer for tap in every.taps], np.split(every.vectors, [every.taps[0].width], 1), strict=False)
    )
    vectors = np.concatenate([parts[layer] for layer in layers], axis=1)[every.splits == "val"]
    np.testing.assert_allclose(Session(model, 1)(vectors), probabilities, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(("name", "splits"), [("first", {"train", "val"}), ("off", {"val"})])
def test_held_out_are_calibrated_predictions_for_images_that_the_head_did_not_see(
    trained: Path, name: str, splits: set[str]
) -> None:
    table_of_held_out = held_out.read(trained / name / "held_out.parquet")
    every = features.read(trained / "features.parquet")
    plain = (every.views == 0) & np.isin(every.splits, list(splits))
    assert table_of_held_out.paths == every.paths[plain].tolist()
    assert table_of_held_out.labels == every.labels[plain].tolist()
    assert table_of_held_out.splits == every.splits[plain].tolist()
    predicted = [table_of_held_out.classes[index] for index in table_of_held_out.probabilities.argmax(axis=1)]
    accuracy = np.mean([label == guess for label, guess in zip(table_of_held_out.labels, predicted, strict=True)])
    assert accuracy == pytest.approx(content(trained / name / "metrics.json")["accuracy"])


def test_the_head_states_its_calibration_and_the_novelty_score_its_images(trained: Path) -> None:
    metrics = content(trained / "first" / "metrics.json")
    calibration = json.loads(graphs.metadata(onnx.load(trained / "first" / "head.onnx"))["calibration"])
    assert calibration == {
        "temperature": metrics["temperature"],
        "before": metrics["calibration_error_before"],
        "after": metrics["calibration_error_after"],
    }
    facts = json.loads(graphs.metadata(onnx.load(trained / "first" / "known.onnx"))["novelty"])
    assert (facts["training_images"], facts["validation_images"]) == (48, 15)


def test_the_tables_say_what_was_tried_and_chosen(trained: Path) -> None:
    candidates = table(trained / "first" / "candidates.csv")
    assert [row["rank"] for row in candidates] == [str(rank) for rank in range(1, len(candidates) + 1)]
    assert {row["kind"] for row in candidates} == {
        "average", "logistic regression", "ridge regression", "shrinkage LDA",
    }  # fmt: skip
    [chosen] = [row for row in candidates if row["chosen"]]
    choice, metrics = content(trained / "first" / "choice.json"), content(trained / "first" / "metrics.json")
    assert chosen["kind"] == "average"
    assert int(chosen["members"]) == len(choice["members"])
    assert choice["reason"].startswith(f"The {choice['winner']} won with ")
    assert list(metrics) == [
        "accuracy", "standard_error", "macro_f1", "log_loss", "calibration_error_before", "calibration_error_after",
        "temperature", "folds",
    ]  # fmt: skip
    assert metrics["accuracy"] == pytest.approx(float(chosen["accuracy"]), abs=1e-5)
    assert (trained / "first" / "history.csv").read_text().splitlines() == [
        "epoch,train_loss,train_accuracy,val_loss,val_accuracy"
    ]


def test_accuracy_is_reported_by_depth(trained: Path) -> None:
    depth = table(trained / "first" / "depth.csv")
    assert [(row["tap"], row["depth"], row["width"], row["lasso_rank"]) for row in depth[:3]] == [
        ("low", "0.5", "6", "1"),
        ("top", "1.0", "20", "2"),
        ("low+top", "1.0", "26", ""),
    ]
    assert float(depth[0]["accuracy"]) > 0.9
    assert float(depth[1]["accuracy"]) < 0.6
    assert depth[3]["tap"].startswith("choice: low")


def test_without_a_search_the_head_is_what_the_params_say(trained: Path) -> None:
    layers = [layer["config"]["name"] for layer in content(trained / "off" / "head.json")["config"]["layers"]]
    assert layers == ["features", "scale", "dropout_0", "dense_0", "dropout", "probabilities"]
    assert len(table(trained / "off" / "history.csv")) == 2
    assert [row["class_weight"] for row in table(trained / "off" / "candidates.csv")] == ["balanced"]


def test_a_network_with_hidden_layers_can_be_chosen(trained: Path) -> None:
    choice = content(trained / "hidden" / "choice.json")
    assert choice["winner"] == "network with hidden layers"
    assert content(trained / "hidden" / "metrics.json")["accuracy"] > 0.9
    assert table(trained / "hidden" / "history.csv")
    assert (trained / "hidden" / "head.json").read_bytes() == (trained / "hidden" / "start.json").read_bytes()
