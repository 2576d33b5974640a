"""Train in a process of its own, because the number of TensorFlow's threads is fixed once it runs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.tables import features, reference
from tests.tasks.conftest import ROOT

FILES = ("head.json", "head.onnx", "head.weights.h5", "history.csv", "metrics.json", "reference.parquet")
SPLITS = ("train", "train", "train", "val", "test")
SCRIPT = """
from pathlib import Path
from tasks.common import params
from tasks.head.stage import train_head
section = params.load(Path("params.yaml")).head.model_copy(update={"epochs": 2})
for name in ("first", "second"):
    train_head(Path("features.parquet"), Path("accepted.parquet"), Path(name), section)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train twice, into `first` and `second`, on features of three classes that lie apart."""
    folder = tmp_path_factory.mktemp("head")
    labels = [f"class {number % 3}" for number in range(45)]
    vectors = np.random.default_rng(0).normal([[number % 3] * 6 for number in range(45)], 0.1).astype(np.float32)
    block = features.Block(
        [f"{number}.png" for number in range(45)],
        labels,
        [SPLITS[number % len(SPLITS)] for number in range(45)],
        np.zeros(45, np.uint16),
        vectors,
    )
    features.write(folder / "features.parquet", [features.Tap("top", 6, 1.0)], [block])
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=environment, check=True, timeout=300)
    return folder


def test_the_same_seed_writes_the_same_bytes(trained: Path) -> None:
    first, second = (
        {path.name: path.read_bytes() for path in (trained / name).iterdir()} for name in ("first", "second")
    )
    assert sorted(first) == sorted(FILES)
    assert first == second


def test_the_record_has_the_validation_images_and_the_classes(trained: Path) -> None:
    paths, probabilities, classes = reference.read(trained / "first" / "reference.parquet")
    assert paths == [f"{number}.png" for number in range(3, 45, 5)]
    assert classes == ["class 0", "class 1", "class 2"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
