from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.evaluation.baselines import Baseline, measure_baselines
from tasks.tables.accepted import Accepted
from tests.tasks.evaluation.examples import make_test_set


def write_colours(folder: Path, number: int, split: str, labels: tuple[str, ...] = ("blue", "red")) -> list[Accepted]:
    """Write plain images of a noisy blue or red, and return their rows."""
    random = np.random.default_rng(number)
    rows = []
    for index in range(number):
        label = labels[index % len(labels)]
        pixels = random.integers(0, 90, (20, 24, 3))
        pixels[..., 2 if label == "blue" else 0] += 100
        path = f"{split}{index}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / path)
        rows.append(Accepted(path, label, split, f"{index:064x}"))
    return rows


def by_name(baselines: list[Baseline]) -> dict[str, Baseline]:
    return {baseline.name: baseline for baseline in baselines}


@pytest.fixture
def rows(tmp_path: Path) -> list[Accepted]:
    return write_colours(tmp_path, 21, "train") + write_colours(tmp_path, 10, "test")


def test_both_baselines_are_measured_on_the_test_images_beside_the_model(tmp_path: Path, rows: list[Accepted]) -> None:
    labels = [row.label for row in rows if row.split == "test"]
    test = make_test_set(labels, labels[:8] + labels[8:][::-1], ["blue", "red"])
    paths = [row.path for row in rows if row.split == "test"]
    baselines = by_name(measure_baselines(tmp_path, rows, test._replace(paths=paths)))
    majority, pixels = baselines["majority"], baselines["pixels"]
    assert (majority.detail, majority.images, majority.accuracy.before, majority.accuracy.after) == (
        "blue",
        10,
        0.5,
        0.8,
    )
    assert (pixels.detail, pixels.images, pixels.accuracy.before) == ("21", 10, 1.0)
    assert pixels.metrics() == {
        "pixels_accuracy": 1.0,
        "pixels_macro_f1": 1.0,
        "pixels_gain": pytest.approx(-0.2),
        "pixels_gain_low": pixels.accuracy.low,
        "pixels_gain_high": pixels.accuracy.high,
    }


def test_test_images_that_can_no_longer_be_read_are_left_out(tmp_path: Path, rows: list[Accepted]) -> None:
    labels = [row.label for row in rows if row.split == "test"]
    test = make_test_set(labels, labels, ["blue", "red"])._replace(
        paths=["gone.png", *(f"test{n}.png" for n in range(1, 10))]
    )
    assert by_name(measure_baselines(tmp_path, rows, test))["pixels"].images == 9


def test_a_single_class_of_training_images_leaves_the_majority_alone(tmp_path: Path) -> None:
    rows = write_colours(tmp_path, 4, "train", ("blue",)) + write_colours(tmp_path, 2, "test")
    test = make_test_set(["blue", "red"], ["blue", "blue"], ["blue", "red"])._replace(paths=["test0.png", "test1.png"])
    assert [item.name for item in measure_baselines(tmp_path, rows, test)] == ["majority"]


def test_without_training_images_there_are_no_baselines(tmp_path: Path) -> None:
    assert measure_baselines(tmp_path, [], make_test_set("a", "a", ["a", "b"])) == []
