"""The real pipeline on the real digits, in clones of this repository: `dvc repro`, `graft train`, push and pull."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows import params_file, pipeline
from tests.clones import clone, commit
from tests.conftest import ROOT, call


def dvc(*arguments: str, cwd: Path) -> str:
    return call(sys.executable, "-m", "dvc", *arguments, cwd=cwd)


def graft(*arguments: str, cwd: Path) -> str:
    return call(sys.executable, "-m", "flows.cli", *arguments, cwd=cwd)


def stage_names(folder: Path) -> list[str]:
    return [stage.name for stage in pipeline.read(folder)]


@pytest.fixture(scope="module")
def trained(trained_clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the clone in which the digits were trained through `dvc repro`."""
    return shutil.copytree(trained_clone, tmp_path_factory.mktemp("first") / "clone", symlinks=True)


def test_after_dvc_repro_graft_train_has_nothing_to_do(trained: Path) -> None:
    assert graft("train", cwd=trained).startswith("nothing to do: params, data and outputs are up to date\n")


def test_the_starter_tells_digits_apart(trained: Path) -> None:
    metrics = json.loads((trained / "artifacts/evaluation/metrics.json").read_text())
    assert metrics["accuracy_low"] > 0.93


def test_a_second_clone_trained_by_graft_writes_the_same_lock_file_and_dvc_finds_nothing_to_do(
    trained: Path, prefect_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(shutil.copytree(prefect_template, tmp_path / "prefect")))
    second = clone(tmp_path / "clone")
    output = graft("train", cwd=second)
    assert [stage for stage in stage_names(second) if f"{stage}: ran" not in output] == []
    assert (second / "dvc.lock").read_bytes() == (trained / "dvc.lock").read_bytes()
    assert "Running stage" not in dvc("repro", cwd=second)


def test_a_head_param_makes_the_head_and_the_report_stale_and_only_what_follows_the_head_reads_its_outputs(
    trained: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(trained, tmp_path / "copy", symlinks=True)
    params_file.edit(folder / "params.yaml", [("head.search", "off"), ("head.epochs", 2)])
    assert list(json.loads(dvc("status", "--json", cwd=folder))) == [
        "head",
        "evaluation",
    ]  # the report shows the params
    reached = ["head"]
    for stage in pipeline.read(folder):  # each after those that it depends on
        if not set(reached).isdisjoint(stage.upstream):
            reached.append(stage.name)
    assert reached == ["head", "finetuning", "export", "evaluation"]


def test_a_comment_in_the_networks_package_makes_the_stages_that_use_it_stale_and_nothing_else(
    trained: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(trained, tmp_path / "copy", symlinks=True)
    with (folder / "tasks" / "networks" / "cuts.py").open("a") as file:
        file.write("# A comment.\n")
    (folder / "tasks" / "networks" / "saving.py").touch()
    # Run again, these stages write the same bytes, as the second clone shows, so that no other stage becomes stale.
    stale = json.loads(dvc("status", "--json", cwd=folder))
    assert [stage for stage in stage_names(folder) if stage in stale] == ["backbone", "head", "finetuning", "export"]


def test_pushed_outputs_can_be_pulled_into_a_fresh_clone_that_has_nothing_to_run(trained: Path, tmp_path: Path) -> None:
    source, remote, target = tmp_path / "source", tmp_path / "remote", tmp_path / "target"
    shutil.copytree(trained, source, symlinks=True)
    dvc("remote", "add", "-d", "store", str(remote), cwd=source)
    dvc("push", "-q", cwd=source)
    commit(source, "trained")
    call("git", "clone", "-q", str(source), str(target), cwd=tmp_path)
    dvc("pull", "-q", cwd=target)
    assert "Running stage" not in dvc("repro", cwd=target)


def test_the_example_reproduces_the_predictions_with_three_libraries_alone(trained: Path, tmp_path: Path) -> None:
    table = pq.read_table(trained / "artifacts/evaluation/predictions.parquet").to_pylist()[:50]
    paths = [str(trained / "data/digits" / row["path"]) for row in table]
    for name in ("onnxruntime", "numpy", "numpy.libs", "PIL", "pillow.libs", "flatbuffers", "google", "packaging"):
        package = Path(str(importlib.metadata.distribution("numpy").locate_file(name)))
        if package.exists():
            (tmp_path / name).symlink_to(package)
    # -S leaves out site-packages: only the libraries linked above can be imported.
    completed = subprocess.run(
        [sys.executable, "-S", str(ROOT / "examples/predict.py"), str(trained / "artifacts/export/model.onnx"), *paths],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    predictions = [json.loads(line) for line in completed.stdout.splitlines()]
    assert [prediction["class"] for prediction in predictions] == [row["predicted"] for row in table]
    expected = np.array([row["probabilities"] for row in table], np.float32)
    probabilities = np.array([prediction["probabilities"] for prediction in predictions], np.float32)
    np.testing.assert_array_equal(probabilities, expected)
