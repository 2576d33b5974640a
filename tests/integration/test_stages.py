"""The stages one after the other, as `dvc repro` runs them, on images that the test makes."""

import json
import os
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.tasks.pages.browsing import NARROW, Visit, scrolls_sideways, visit

ROOT = Path(__file__).parents[2]
# Both are legal names of folders.
ACROSS, DOWN = CLASSES = ("<b class=hostile>across", "{{ down }} & 'co'")
CORRECTIONS = ROOT / "data" / "corrections.csv"
TINY = {
    "hidden: [128]": "hidden: [16]",
    "epochs: 60": "epochs: 12",
    "epochs: 20": "epochs: 2",
    "parity_images: 64": "parity_images: 4",
}
COMMON = {
    "dataset": f"--images photos --corrections {CORRECTIONS} --out dataset/manifest.parquet",
    "validation": "--images photos --manifest dataset/manifest.parquet --out validation",
    "features": (
        "--images photos --accepted validation/accepted.parquet --backbone backbone/backbone.onnx "
        "--out features/features.parquet"
    ),
    "head": "--features features/features.parquet --accepted validation/accepted.parquet --out head",
}
REMAINING = {
    "finetuning": (
        "--images photos --accepted validation/accepted.parquet --backbone backbone --head head "
        "--features features/features.parquet --out {out}/tuned"
    ),
    "export": (
        "--images photos --accepted validation/accepted.parquet --backbone backbone --tuned {out}/tuned "
        "--out {out}/export"
    ),
    "evaluation": (
        "--images photos --manifest dataset/manifest.parquet --accepted validation/accepted.parquet "
        "--quarantine validation/quarantine.csv --validation validation/summary.json "
        "--backbone backbone/backbone.json --features features/features.parquet --head head "
        "--finetuning {out}/tuned --export {out}/export --out {out}/evaluation"
    ),
}


def run(stage: str, folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"tasks.{stage}", *arguments.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


def run_all(stages: dict[str, str], folder: Path, suffix: str = "") -> None:
    for stage, arguments in stages.items():
        done = run(stage, folder, arguments + suffix)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Path:
    """Write photos of two kinds of stripes and a file that is no image, and run the stages up to the head.

    The base is that of other tests.
    """
    folder = tmp_path_factory.mktemp("stages")
    (folder / "backbone").symlink_to(backbone)
    random = np.random.default_rng(0)
    for label in CLASSES:
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(20):
            stripes = 128 + 90 * np.sin(np.arange(32) * random.uniform(0.8, 1.6) + random.uniform(0, 6))
            pixels = np.clip(random.normal(stripes[:, None, None], 10, (32, 32, 3)), 0, 255).astype(np.uint8)
            turned = pixels if label == ACROSS else pixels.transpose(1, 0, 2)
            Image.fromarray(turned).save(folder / "photos" / label / f"{number}.png")
    (folder / "photos" / DOWN / "notes.txt").write_text("not an image")
    text = (ROOT / "params.yaml").read_text()
    for committed, tiny in TINY.items():
        assert committed in text
        text = text.replace(committed, tiny)
    (folder / "params.yaml").write_text(text)
    run_all(COMMON, folder)
    return folder


def test_a_file_that_is_no_image_is_set_aside_with_its_kind_and_reason(trained: Path) -> None:
    lines = (trained / "validation" / "quarantine.csv").read_text().splitlines()
    row = f"{DOWN}/notes.txt,{DOWN},other_file,not an image by name or content"
    assert lines == ["path,label,kind,reason", row]


# The test of clones runs all stages with fine-tuning off.
@pytest.fixture(scope="module", params=[pytest.param("frozen", marks=pytest.mark.thorough), "finetuned"])
def finished(request: pytest.FixtureRequest, trained: Path) -> Path:
    """Run the stages after the head, with fine-tuning off and on, and return the folder of their outputs."""
    enabled = str(request.param == "finetuned").lower()
    text = (trained / "params.yaml").read_text().replace("enabled: false", f"enabled: {enabled}")
    (trained / f"{request.param}.yaml").write_text(text)
    stages = {stage: arguments.format(out=request.param) for stage, arguments in REMAINING.items()}
    run_all(stages, trained, f" --params {request.param}.yaml")
    return trained / str(request.param)


def test_the_exported_file_classifies_every_test_image(finished: Path) -> None:
    assert json.loads((finished / "evaluation" / "metrics.json").read_text())["accuracy"] == 1.0
    tuning = json.loads((finished / "tuned" / "metrics.json").read_text())
    assert bool(tuning) is (finished.name == "finetuned")
    assert (finished / "tuned" / "backbone.onnx").exists() is (tuning.get("mixture", 0) > 0)


def test_the_report_is_complete_in_a_browser_without_a_network(
    finished: Path, browser: Chrome, pytestconfig: pytest.Config
) -> None:
    page = finished / "evaluation" / "report.html"
    pictures = pytestconfig.cache.mkdir("screenshots")
    for theme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": theme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        for width in (1200, NARROW):
            assert visit(browser, page, width) == Visit([], [page.as_uri()], [])
            assert not scrolls_sideways(browser)
            picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            (pictures / f"report_{finished.name}_{theme}_{width}.png").write_bytes(b64decode(picture["data"]))
    metrics = json.loads((finished / "evaluation" / "metrics.json").read_text())
    answer = browser.find_element(By.ID, "answer").text
    assert f"{metrics['accuracy']:.1%}".replace("%", "") in answer
    classes = browser.find_element(By.ID, "classes").text
    assert all(name in classes for name in CLASSES)
    assert browser.find_elements(By.CSS_SELECTOR, "b.hostile") == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing", "missing is missing. Expected a folder of images or an archive"),
        ("empty", "empty holds no images. Expected one folder a class"),
        ("single", "single holds one class, 'only'. Expected one folder a class"),
    ],
    ids=["missing", "empty", "one class"],
)
def test_a_folder_that_cannot_be_scanned_ends_in_one_line(folder: Path, source: str, message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "single" / "only").mkdir(parents=True)
    (folder / "single" / "only" / "a.png").touch()
    done = run("dataset", folder, f"--images {source} --corrections {CORRECTIONS} --out out.parquet")
    assert done.returncode == 1
    assert done.stderr.startswith(f"graft dataset: error: {message}")
    assert done.stderr.count("\n") == 1


def test_the_nearest_match_of_an_unknown_backbone_is_suggested(folder: Path) -> None:
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("name: MobileNet ", "name: MobilNet "))
    done = run("backbone", folder, "--out backbone")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "graft backbone: error: backbone.name 'MobilNet' is unknown. Did you mean 'MobileNet'?"
    )
