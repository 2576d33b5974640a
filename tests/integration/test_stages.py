"""The stages one after the other, as `dvc repro` runs them, on images that the test makes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
STAGES = {
    "dataset": "--images photos --out dataset/manifest.parquet",
    "validation": "--manifest dataset/manifest.parquet --out validation",
    "backbone": "--out backbone",
    "features": (
        "--images photos --accepted validation/accepted.parquet --backbone backbone/backbone.onnx --out f.parquet"
    ),
    "head": "--features f.parquet --out head",
    "finetuning": "--images photos --accepted validation/accepted.parquet --backbone backbone --head head --out tuned",
    "export": "--images photos --backbone backbone --tuned tuned --out model.onnx",
    "evaluation": "--images photos --accepted validation/accepted.parquet --model model.onnx --out evaluation",
}


def run(stage: str, folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"tasks.{stage}", *arguments.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for label in ("across", "down"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            stripes = 128 + 90 * np.sin(np.arange(32) * random.uniform(0.8, 1.6) + random.uniform(0, 6))
            pixels = np.clip(random.normal(stripes[:, None, None], 10, (32, 32, 3)), 0, 255).astype(np.uint8)
            turned = pixels if label == "across" else pixels.transpose(1, 0, 2)
            Image.fromarray(turned).save(tmp_path / "photos" / label / f"{number}.png")
    (tmp_path / "photos" / "down" / "notes.txt").write_text("not an image")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("tuning", ["false", "true"])
def test_two_kinds_of_stripes_are_told_apart_with_one_bad_file_set_aside(photos: Path, tuning: str) -> None:
    params = photos / "params.yaml"
    params.write_text(params.read_text().replace("enabled: false", f"enabled: {tuning}"))
    for stage, arguments in STAGES.items():
        done = run(stage, photos, arguments)
        assert done.returncode == 0, done.stderr
    quarantined = (photos / "validation" / "quarantine.csv").read_text().splitlines()
    reason = '"not an image in a known format (JPEG, PNG, WEBP, BMP, GIF, TIFF)"'
    assert quarantined == ["path,label,reason", f"down/notes.txt,down,{reason}"]
    assert json.loads((photos / "evaluation" / "metrics.json").read_text())["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("missing", "missing is not a folder."),
        ("empty", "empty holds no images."),
        ("single", "single holds one class, 'only'."),
    ],
)
def test_a_folder_that_cannot_be_scanned_ends_in_one_line(photos: Path, source: str, told: str) -> None:
    (photos / "empty").mkdir()
    (photos / "single" / "only").mkdir(parents=True)
    (photos / "single" / "only" / "a.png").touch()
    done = run("dataset", photos, f"--images {source} --out out.parquet")
    assert done.returncode == 1
    assert done.stderr.startswith(f"graft dataset: error: {told} Expected one folder a class")
    assert done.stderr.count("\n") == 1


def test_an_unknown_backbone_is_told_with_its_nearest_match(photos: Path) -> None:
    params = photos / "params.yaml"
    params.write_text(params.read_text().replace("name: MobileNet ", "name: MobilNet "))
    done = run("backbone", photos, "--out backbone")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "graft backbone: error: backbone.name 'MobilNet' is unknown. Did you mean 'MobileNet'?"
    )
