"""Repositories with committed runs: what Git, DVC, GTO and Graft's own model commands do with them is real."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from shutil import copy
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dvc.repo import Repo
from PIL import Image

from flows import params_file
from tasks.common.hashing import hash_file
from tasks.tables import predictions
from tests.conftest import ROOT, call
from tests.graft.models import write_colour_model

COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
CLASSES = list(COLOURS)
IMAGES = 48
DVC_YAML = """
stages:
  validation:
    cmd: "true"
    outs: [artifacts/validation/accepted.parquet]
  export:
    cmd: "true"
    outs: [artifacts/export/model.onnx]
  evaluation:
    cmd: "true"
    params: [head.epochs]
    outs: [artifacts/evaluation/predictions.parquet]
    metrics: [artifacts/evaluation/metrics.json]
artifacts:
  classifier:
    path: artifacts/export/model.onnx
    type: model
"""


class Shown(NamedTuple):
    """A test image of a run by its number, and whether the run recognises it."""

    number: int
    right: bool


def make_repository(folder: Path) -> Path:
    """Make a repository with pictures of three colours, numbered 0 to IMAGES - 1, and no run."""
    folder.mkdir()
    call("git", "init", "-q", "-b", "main", cwd=folder)
    name_author(folder)
    Repo.init(str(folder)).close()
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (folder / ".gitignore").write_text("/artifacts/\n/data/\n")
    (folder / "dvc.yaml").write_text(DVC_YAML)
    copy(ROOT / "params.yaml", folder)
    params_file.edit(folder / "params.yaml", [("dataset.source", "data/colours")])
    for number in range(IMAGES):
        file = folder / "data" / "colours" / path_of(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        # No two pictures are equal.
        colour = tuple(value + number // len(CLASSES) for value in COLOURS[label_of(number)])
        Image.new("RGB", (8, 8), colour).save(file)
    return folder


def name_author(folder: Path) -> None:
    """Say in whose name Git commits and tags here."""
    for key, value in (("user.email", "tests@example.org"), ("user.name", "Tests")):
        call("git", "config", key, value, cwd=folder)


def label_of(number: int) -> str:
    return CLASSES[number % len(CLASSES)]


def path_of(number: int) -> str:
    return f"{label_of(number)}/{number}.png"


def shown(numbers: Sequence[int], wrong: Sequence[int] = ()) -> list[Shown]:
    """Return test images, of which a run gets some wrong."""
    return [Shown(number, number not in wrong) for number in numbers]


def write_run(folder: Path, tested: Sequence[Shown], trained: Sequence[int] = ()) -> None:
    """Write the outputs of a run with these test images and numbers of training images. Its model knows the colours."""
    images = folder / "data" / "colours"
    numbers = [image.number for image in tested]
    digests = [hash_file(images / path_of(number)) for number in range(IMAGES)]
    rows = [
        {
            "path": path_of(number),
            "label": label_of(number),
            "split": "test" if number in numbers else "train",
            "sha256": digests[number],
            "group": None,
        }
        for number in sorted({*numbers, *trained})
    ]
    accepted = folder / "artifacts" / "validation" / "accepted.parquet"
    accepted.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), accepted)
    write_colour_model(folder / "artifacts" / "export" / "model.onnx")
    given = [CLASSES[(image.number + (not image.right)) % len(CLASSES)] for image in tested]
    probabilities = np.full((len(tested), len(CLASSES)), 0.1, np.float32)
    probabilities[np.arange(len(tested)), [CLASSES.index(name) for name in given]] = 0.8
    table = predictions.Predictions(
        [path_of(number) for number in numbers],
        [digests[number] for number in numbers],
        [label_of(number) for number in numbers],
        given,
        probabilities,
        CLASSES,
    )
    predictions.write(folder / "artifacts" / "evaluation" / "predictions.parquet", table)
    right = sum(image.right for image in tested)
    metrics = {
        "images": len(tested),
        "accuracy": right / len(tested),
        "accuracy_low": 0.5,
        "accuracy_high": 1.0,
        "confidence": 0.95,
        "macro_f1": right / len(tested),
    }
    (folder / "artifacts" / "evaluation" / "metrics.json").write_text(json.dumps(metrics))


def record(folder: Path) -> None:
    """Do what `dvc commit --force` does, without a process of its own: put the outputs into the cache and dvc.lock."""
    # DVC looks for its stages below the working folder.
    with contextlib.chdir(folder), Repo(str(folder)) as repository:
        repository.commit(force=True)


def commit_empty(folder: Path) -> str:
    """Commit nothing and return the hash of the commit."""
    call("git", "commit", "-q", "--allow-empty", "-m", "empty", cwd=folder)
    return call("git", "rev-parse", "HEAD", cwd=folder).strip()


def commit_run(folder: Path, tested: Sequence[Shown], message: str, trained: Sequence[int] = ()) -> str:
    """Write a run, put it under DVC, commit it, and return the hash of the commit."""
    write_run(folder, tested, trained)
    record(folder)
    call("git", "add", "--all", cwd=folder)
    call("git", "commit", "-q", "-m", message, cwd=folder)
    return call("git", "rev-parse", "HEAD", cwd=folder).strip()
