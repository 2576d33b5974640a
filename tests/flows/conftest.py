"""A real Prefect server of the tests' own."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL
from prefect.testing import utilities

from tests.flows.repositories import commit_run, make_repository, shown


@pytest.fixture(scope="module")
def prefect_server(prefect_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a temporary server with a database of its own for the tests of a file; yield its address."""
    folder = tmp_path_factory.mktemp("prefect")
    shutil.copy(prefect_template / "prefect.db", folder / "prefect-test.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utilities, "mkdtemp", lambda: str(folder))  # for the database
        with utilities.prefect_test_harness(server_startup_timeout=180):
            address = PREFECT_API_URL.value()
            assert address is not None
            yield address


@pytest.fixture(scope="module", autouse=True)
def _end_of_events() -> Iterator[None]:
    """Close Prefect's connection for events after the flows of a file.

    Its thread draws from Python's random numbers, and so do networks with random weights in the tests that follow.
    """
    yield
    EventsWorker.drain_all(at_exit=False)


@pytest.fixture(scope="session")
def committed_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with one committed run: 30 test images, of which the run gets all ten red ones wrong."""
    folder = make_repository(tmp_path_factory.mktemp("committed") / "template")
    commit_run(folder, shown(range(30), wrong=range(0, 30, 3)), "first", trained=range(30, 33))
    return folder


@pytest.fixture
def committed(committed_template: Path, tmp_path: Path) -> Path:
    """Copy the repository with one committed run."""
    return shutil.copytree(committed_template, tmp_path / "repository")


def write_summary_of_validation(
    root: Path, median_side: int, warnings: Sequence[str] | None = None, notes: Sequence[str] = ()
) -> None:
    """Write the summary that the stage `validation` writes, for images of that size; without warnings: an older one."""
    path = root / "artifacts" / "validation" / "summary.json"
    path.parent.mkdir(parents=True)
    summary = {"images": 12, "median_side": median_side}
    path.write_text(
        json.dumps(summary if warnings is None else summary | {"warnings": list(warnings), "notes": list(notes)})
    )


def write_evaluation(root: Path, classes: Mapping[str, tuple[float, int]]) -> None:
    """Write the metrics that the stage `evaluation` writes; `classes` maps a name to its recall and test images."""
    folder = root / "artifacts" / "evaluation"
    folder.mkdir(parents=True)
    metrics = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "confidence": 0.95, "macro_f1": 0.7}
    (folder / "metrics.json").write_text(json.dumps(metrics | {"images": 1200}))
    with (folder / "classes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["class", "precision", "recall", "f1", "images"])
        writer.writerows([name, 0.5, recall, 0.5, images] for name, (recall, images) in classes.items())


def write_classes(folder: Path, images_per_class: int = 2) -> None:
    """Write small images of random pixels into two class folders, `cat` and `dog`."""
    for number, label in enumerate(("cat", "dog")):
        (folder / label).mkdir(parents=True)
        for image in range(images_per_class):
            pixels = np.random.default_rng([number, image]).integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{image}.png")
