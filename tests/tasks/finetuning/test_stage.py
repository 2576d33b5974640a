import csv
import json
import os
import shutil
import signal
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
from tasks.common.text import count
from tasks.finetuning.__main__ import main
from tasks.finetuning.inputs import Inputs
from tasks.finetuning.stage import finetune
from tasks.finetuning.unchanged_head import FILES, KNOWN
from tasks.images.decoding import read
from tasks.networks import saving
from tasks.onnx import graphs
from tasks.onnx.sessions import Session
from tasks.tables import held_out, reference
from tests.tasks.conftest import ROOT, write_accepted
from tests.tasks.finetuning.small_inputs import CLASSES, TAP, write_features, write_head, write_images

CUT = "conv_pw_11_relu"
RECORDS = ("history.csv", "metrics.json", "mixtures.csv", "summary.json")
SET_ASIDE = "vertical/4.png"

SCRIPT = """
import json
import os
import signal
import sys
from pathlib import Path
from tasks.common import params
from tasks.common.progress import say
from tasks.finetuning import checkpoint
from tasks.finetuning.inputs import Inputs
from tasks.finetuning.stage import finetune

def write_and_end(path, state, write=checkpoint.write):
    write(path, state)
    if state.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

sections = params.load(Path("params.yaml"))
extraction = sections.features.model_copy(update={"views": 2, "store": "store"})
inputs = Inputs(Path("photos"), Path("accepted.parquet"), Path(sys.argv[1]), Path("head"), Path("features.parquet"))
for name, settings in json.loads(sys.argv[2]).items():
    say(name)
    if name == "killed":
        checkpoint.write = write_and_end
    finetuning = sections.finetuning.model_copy(update={"batch_size": 6, "learning_rate": 2e-3} | settings)
    finetune(inputs, Path(name), finetuning, extraction, sections.augmentation, sections.head.false_alarms)
"""
RUNS: dict[str, dict[str, Any]] = {
    "first": {"epochs": 4, "layer_decay": 0.9},
    "spoiled": {"epochs": 2, "learning_rate": 1.0},
    "live": {"epochs": 2, "live": True, "refit": True},
    "killed": {"epochs": 4, "layer_decay": 0.9},
}


def run(folder: Path, backbone: Path, runs: dict[str, dict[str, Any]]) -> tuple[int, str]:
    """Fine-tune in a process of its own, because the number of TensorFlow's threads is fixed once it runs."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "GRAFT_CACHE": "cache"}
    command = [sys.executable, "-c", SCRIPT, str(backbone), json.dumps(runs)]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, timeout=300, stderr=subprocess.PIPE, encoding="utf-8"
    )
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Path:
    """Fine-tune in several ways; the last run is killed after an epoch and goes on in another process."""
    folder = tmp_path_factory.mktemp("tuned")
    rows = write_images(folder / "photos")
    write_accepted(folder / "accepted.parquet", rows)
    # An image that vanished before the features were computed has none.
    (folder / "photos" / SET_ASIDE).unlink()
    write_features(folder / "features.parquet", [row for row in rows if row.path != SET_ASIDE], views=2)
    write_head(folder / "head")
    shutil.copy(ROOT / "params.yaml", folder)
    code, lines = run(folder, backbone, RUNS)
    assert code == -signal.SIGKILL, lines
    (folder / "checkpoints.txt").write_text("\n".join(path.suffix for path in (folder / "cache/finetuning").iterdir()))
    code, more_lines = run(folder, backbone, {"resumed": RUNS["killed"]})
    assert code == 0, more_lines
    (folder / "lines.txt").write_text(lines + more_lines)
    return folder


def lines_of(tuned: Path, name: str) -> list[str]:
    """Return the lines of one of the runs, without those of TensorFlow."""
    names = {*RUNS, "resumed"}
    lines = (tuned / "lines.txt").read_text().splitlines()
    lines = [line for line in lines if line in names or line.startswith("finetuning: ")]
    lines = lines[lines.index(name) + 1 :]
    ends = [number for number, line in enumerate(lines) if line in names]
    return lines[: ends[0] if ends else None]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def weights(layer: keras.layers.Layer) -> list[bytes]:
    return [np.asarray(weight).tobytes() for weight in layer.get_weights()]


def test_a_run_that_was_killed_goes_on_and_writes_the_bytes_of_an_undisturbed_one(tuned: Path) -> None:
    assert not (tuned / "killed").exists()
    assert (tuned / "checkpoints.txt").read_text() == ".safetensors"
    expected = "finetuning: an earlier run was interrupted; training goes on after its epoch 2"
    assert expected in lines_of(tuned, "resumed")
    written = contents(tuned / "resumed")
    tuned_files = ["backbone.onnx", "keras/base.json", "keras/base.weights.h5", KNOWN]
    assert sorted(written) == sorted([*tuned_files, *FILES, *RECORDS])
    assert written == contents(tuned / "first")


def test_checkpoints_are_removed_when_the_stage_ends(tuned: Path) -> None:
    assert list((tuned / "cache" / "finetuning").iterdir()) == []


def test_activations_of_all_views_are_computed_once_for_all_runs(tuned: Path) -> None:
    first = lines_of(tuned, "first")
    # 23 training images in two views and 12 validation images.
    assert first[0] == (
        "finetuning: activations at 'conv_pw_11_relu' of 58 views take 0.5 MB in a file while training, and 0.5 MB "
        "more in the feature store"
    )
    assert "finetuning: boundary: 58 vectors wanted, 0 in the store" in first
    assert "finetuning: boundary: 58 vectors wanted, 58 in the store" in lines_of(tuned, "spoiled")
    assert "finetuning: boundary: 12 vectors wanted, 12 in the store" in lines_of(tuned, "live")


def test_batch_statistics_and_everything_up_to_the_cut_stay_as_they_were(backbone: Path, tuned: Path) -> None:
    before, after = saving.load(backbone / "keras", "base"), saving.load(tuned / "first" / "keras", "base")
    changed = [
        layer.name for layer, other in zip(before.layers, after.layers, strict=True) if weights(layer) != weights(other)
    ]
    assert changed == ["conv_dw_12", "conv_pw_12", "conv_dw_13", "conv_pw_13"]


def test_the_best_mixture_is_written_and_said(tuned: Path) -> None:
    metrics = json.loads((tuned / "first" / "metrics.json").read_text())
    rows = {float(row["mixture"]): row for row in table(tuned / "first" / "mixtures.csv")}
    assert list(rows) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    best = rows[metrics["mixture"]]
    assert metrics["mixture"] > 0
    assert float(best["log_loss"]) == metrics["val_loss"] == min(float(row["log_loss"]) for row in rows.values())
    assert float(rows[0]["log_loss"]) == metrics["head_val_loss"] > metrics["val_loss"]
    line = lines_of(tuned, "first")[-1]
    assert line.startswith(f"finetuning: mixture {metrics['mixture']} won on 12 validation images: log loss ")


def test_the_start_is_epoch_0_of_the_learning_curves(tuned: Path) -> None:
    history = table(tuned / "first" / "history.csv")
    assert [row["epoch"] for row in history] == [*map(str, range(5))]
    assert (history[0]["train_loss"], history[0]["train_accuracy"]) == ("", "")
    assert float(history[0]["val_loss"]) > 0


@pytest.mark.parametrize("name", ["first", "live"])
def test_the_record_is_what_the_written_graphs_predict_for_the_validation_images(tuned: Path, name: str) -> None:
    base, head = (Session(onnx.load(tuned / name / f"{part}.onnx"), threads=1) for part in ("backbone", "head"))
    paths, expected, classes = reference.read(tuned / name / "reference.parquet")
    assert classes == CLASSES
    assert paths == [f"{label}/{number}.png" for label in classes for number in range(2, 24, 4)]
    probabilities = np.concatenate([head(base(read(tuned / "photos" / path)[None])) for path in paths])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_the_tuned_graphs_keep_the_metadata_of_the_originals(backbone: Path, tuned: Path) -> None:
    first = tuned / "first"
    pairs = [(backbone / "backbone.onnx", first / "backbone.onnx"), (tuned / "head" / "head.onnx", first / "head.onnx")]
    for before, after in pairs:
        assert graphs.metadata(onnx.load(before)).items() <= graphs.metadata(onnx.load(after)).items()
    head = graphs.metadata(onnx.load(first / "head.onnx"))
    assert json.loads(head["taps"]) == [TAP.layer]
    assert list(json.loads(head["calibration"])) == ["temperature", "before", "after"]


def test_the_novelty_score_is_that_of_the_tuned_features(tuned: Path) -> None:
    base, known = (onnx.load(tuned / "first" / name) for name in ("backbone.onnx", KNOWN))
    facts = json.loads(graphs.metadata(known)["novelty"])
    assert (facts["training_images"], facts["validation_images"]) == (23, 12)
    paths = [tuned / "photos" / f"{label}/{number}.png" for label in CLASSES for number in range(2, 24, 4)]
    features_of_validation = np.concatenate([Session(base, 1)(read(path)[None]) for path in paths])
    scores = Session(known, 1)(features_of_validation)
    # Of 12 images, the farthest one is at the threshold.
    assert scores.min() == pytest.approx(0.5, abs=1e-3)


def test_held_out_are_the_validation_images_as_the_chosen_mixture_predicts_them(tuned: Path) -> None:
    table_of_held_out = held_out.read(tuned / "first" / "held_out.parquet")
    paths, probabilities, classes = reference.read(tuned / "first" / "reference.parquet")
    assert (table_of_held_out.paths, table_of_held_out.classes) == (paths, classes)
    assert table_of_held_out.labels == [path.split("/")[0] for path in paths]
    # Without a refit, the exported network is that mixture.
    np.testing.assert_allclose(table_of_held_out.probabilities, probabilities, atol=1e-5)


def test_a_rate_that_spoils_the_network_leaves_the_head_as_it_is(tuned: Path) -> None:
    written = contents(tuned / "spoiled")
    assert sorted(written) == sorted([*FILES, *RECORDS])
    assert {name: written[name] for name in FILES} == {name: (tuned / "head" / name).read_bytes() for name in FILES}
    metrics = json.loads(written["metrics.json"])
    assert metrics["mixture"] == 0
    assert metrics["val_loss"] == metrics["head_val_loss"]
    warning, winner = lines_of(tuned, "spoiled")[-2:]
    assert warning.startswith("finetuning: warning: the loss has grown to ")
    assert warning.endswith(
        " in epoch 1 at a learning rate of up to 1; training stops and the best weights so far are kept. "
        "Lower finetuning.learning_rate."
    )
    assert winner.startswith("finetuning: mixture 0, the head alone, won on 12 validation images: log loss ")
    assert winner.endswith("; no epoch of training was better")


def test_live_training_says_that_it_is_slow_and_refit_trains_again_from_the_final_head(tuned: Path) -> None:
    lines = lines_of(tuned, "live")
    metrics = json.loads((tuned / "live" / "metrics.json").read_text())
    expected = [
        (
            "finetuning: live training without a GPU is slow, since every image passes the whole base in every epoch; "
            "finetuning.live false trains from stored activations"
        ),
        (
            f"finetuning: training once more for {count(metrics['best_epoch'], 'epoch')}, "
            "on training and validation images"
        ),
    ]
    assert [line for line in expected if line not in lines] == []
    # The final head lies nearer to the result than the start does.
    result = saving.load(tuned / "live", "head").get_layer("probabilities").get_weights()[0]
    final, start = (
        saving.load(tuned / "head", name).get_layer("probabilities").get_weights()[0] for name in ("head", "start")
    )
    assert np.abs(result - final).mean() < np.abs(result - start).mean() / 2


@pytest.mark.parametrize(
    ("cut", "mode", "expected"),
    [
        (
            "conv_pw_11_rel",
            "tf",
            (
                "finetuning.cut: MobileNet has no layer or block 'conv_pw_11_rel'. Did you mean 'conv_pw_11_relu'? "
                "`graft backbones show MobileNet` lists its cuts."
            ),
        ),
        (
            CUT,
            "encoder",
            (
                "fine-tuning needs a Keras network, and backbone.name MobileNet is an ONNX encoder. "
                "Set finetuning.enabled to false."
            ),
        ),
    ],
    ids=["no such cut", "encoder"],
)
def test_a_cut_that_does_not_exist_and_an_encoder_are_refused_before_anything_is_loaded(
    backbone: Path, tmp_path: Path, settings: Params, cut: str, mode: str, expected: str
) -> None:
    facts = json.loads((backbone / "backbone.json").read_text())
    (tmp_path / "backbone.json").write_text(json.dumps(facts | {"mode": mode}))
    params = settings.finetuning.model_copy(update={"cut": cut})
    inputs = Inputs(tmp_path, *[tmp_path] * 4)
    with pytest.raises(GraftError) as caught:
        finetune(inputs, tmp_path / "out", params, settings.features, settings.augmentation, settings.head.false_alarms)
    assert str(caught.value) == expected
    assert not (tmp_path / "out").exists()


def test_a_head_without_taps_above_the_cut_is_passed_on_with_a_warning(
    backbone: Path, tmp_path: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    write_head(tmp_path / "head", ["conv_pw_5_relu", CUT])
    inputs = Inputs(tmp_path, tmp_path, backbone, tmp_path / "head", tmp_path)
    params = settings.finetuning.model_copy(update={"cut": CUT})
    finetune(inputs, tmp_path / "out", params, settings.features, settings.augmentation, settings.head.false_alarms)
    assert capsys.readouterr().err == (
        "finetuning: warning: the head uses no tap above finetuning.cut 'conv_pw_11_relu' (it uses conv_pw_5_relu, "
        "conv_pw_11_relu), so there is nothing to train and the head is kept as it is. Choose a lower cut.\n"
    )
    assert sorted(contents(tmp_path / "out")) == sorted([*FILES, "history.csv", "metrics.json", "summary.json"])


def test_switched_off_the_head_is_passed_on_as_it_is_without_metrics_and_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "head").mkdir()
    for name in [*FILES, "history.csv", "metrics.json", "start.json"]:
        (tmp_path / "head" / name).write_text(f"any {name}")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "backbone.onnx").touch()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    options: dict[str, str] = dict.fromkeys(("--images", "--accepted", "--backbone", "--features"), "missing")
    options |= {"--head": "head", "--out": "out", "--params": "params.yaml"}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["finetuning", *(word for pair in options.items() for word in pair)])
    main()
    expected = {name: f"any {name}".encode() for name in FILES} | {
        "history.csv": b"epoch,train_loss,train_accuracy,val_loss,val_accuracy\r\n",
        "metrics.json": b"{}\n",
        "summary.json": b'{\n "headline": null,\n "warnings": []\n}\n',
    }
    assert contents(tmp_path / "out") == expected
