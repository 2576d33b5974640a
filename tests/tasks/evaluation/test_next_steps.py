import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import params_file
from tasks.common import params as params_module
from tasks.common.params import Params
from tasks.evaluation.learning_curve import Gain, LearningCurve
from tasks.evaluation.measurements import Measurements
from tasks.evaluation.metrics import class_metrics, overall_metrics
from tasks.evaluation.report.next_steps import MAX_STEPS, Step, describe_next_steps
from tasks.evaluation.slices import Slice, Slices
from tasks.evaluation.test_set import TestSet
from tasks.tables.accepted import Accepted
from tests.conftest import ROOT
from tests.tasks.evaluation.examples import make_test_set

NO_SLICES = Slices([], 0, 0, [], 0.95)
WORSE = Slice("camera", "old", "table", 20, 0.5, 0.3, 0.7, 100, 0.95, -0.45, -0.6, -0.2, 0.001, 0.002, "worse")
CURVE = LearningCurve([], [Gain(50.0, 0.02, 0.01, 0.03)])


def make_rows(**numbers: int) -> list[Accepted]:
    """Return training images, so many of each class."""
    return [
        Accepted(f"{name}{index}.png", name, "train", "") for name, number in numbers.items() for index in range(number)
    ]


def measurements_of(test: TestSet, **fields: Any) -> Measurements:
    figures = overall_metrics(test)
    empty: dict[str, Any] = dict.fromkeys(Measurements._fields)
    return Measurements(**empty)._replace(
        **({"metrics": figures, "classes": class_metrics(test), "slices": NO_SLICES} | fields)
    )


GOOD = make_test_set(["a"] * 100 + ["b"] * 100, ["a"] * 100 + ["b"] * 100, ["a", "b"])
SOME_WRONG = make_test_set(["a"] * 100 + ["b"] * 100, ["a"] * 90 + ["b"] * 110, ["a", "b"])
SURE = SOME_WRONG._replace(probabilities=SOME_WRONG.probabilities.round() * 0.98 + 0.01)


def advise(test: TestSet, rows: list[Accepted], settings: Params, **fields: Any) -> list[Step]:
    return describe_next_steps(measurements_of(test, **fields), test, rows, settings)


def change(section: str, **keys: Any) -> Callable[[Params], Params]:
    return lambda settings: settings.model_copy(update={section: getattr(settings, section).model_copy(update=keys)})


@pytest.mark.parametrize(
    ("test", "rows", "adapt", "fields", "reason", "command"),
    [
        (
            SURE,
            make_rows(a=60, b=60),
            None,
            {},
            "10 test images have another class with more than 90%, and the given one with less than 5%.",
            "graft data review",
        ),
        (
            SOME_WRONG,
            make_rows(a=60, b=60),
            None,
            {},
            "The accuracy of 95.0% is that of the starter weights, which have never seen a photograph.",
            "graft train --backbone MobileNetV2",
        ),
        (
            GOOD,
            make_rows(a=60, b=9),
            None,
            {},
            "'b' has 9 training images, fewer than 20.",
            "graft data add FOLDER",
        ),
        (
            GOOD,
            make_rows(a=60, b=60),
            None,
            {"learning_curve": CURVE},
            "50 more images a class would bring about 2.0 points of accuracy (1.0 to 3.0).",
            "graft data add FOLDER",
        ),
        (
            make_test_set("a" * 90 + "b" * 10, "a" * 95 + "b" * 5, ["a", "b"]),
            make_rows(a=300, b=30),
            None,
            {},
            (
                "The largest class has 10 times as many images as the smallest, and macro F1 (82.0%) is below "
                "the accuracy (95.0%)."
            ),
            "graft train --set head.criterion=macro_f1",
        ),
        (
            GOOD,
            make_rows(a=60, b=60),
            None,
            {"slices": NO_SLICES._replace(rows=[WORSE])},
            "50.0% of the images with camera old are right, and 95.0% of the others.",
            "graft data add FOLDER",
        ),
        (
            make_test_set("aaaaab", "aaaaab", ["a", "b"]),
            make_rows(a=60, b=60),
            None,
            {},
            "'b' has 1 test images.",
            "graft train --set dataset.test_fraction=0.3",
        ),
        (
            SOME_WRONG,
            make_rows(a=60, b=60),
            change("features", taps=None),
            {},
            "5.0% of the test images are wrong, and the head reads given layers only.",
            "graft train --set features.taps=auto",
        ),
        (
            SOME_WRONG,
            make_rows(a=60, b=60),
            None,
            {},
            "5.0% of the test images are wrong, with 60 training images a class.",
            "graft train --set features.views=4",
        ),
        (
            SOME_WRONG,
            make_rows(a=160, b=160),
            None,
            {},
            "5.0% of the test images are wrong, with 160 training images a class, enough to adapt the network.",
            "graft train --set finetuning.enabled=true",
        ),
        (
            SOME_WRONG,
            make_rows(a=60, b=60),
            change("backbone", weights="imagenet"),
            {},
            "5.0% of the test images are wrong with MobileNet.",
            "graft train --backbone ResNet50",
        ),
    ],
    ids=[
        *("doubtful labels", "starter weights", "few training images", "steep learning curve", "imbalance"),
        *("bad slice", "few test images", "given taps", "few views", "no fine-tuning", "another network"),
    ],
)
def test_a_figure_gives_advice_with_a_command_that_graft_accepts(
    tmp_path: Path,
    settings: Params,
    test: TestSet,
    rows: list[Accepted],
    adapt: Callable[[Params], Params] | None,
    fields: dict[str, Any],
    reason: str,
    command: str,
) -> None:
    steps = advise(test, rows, adapt(settings) if adapt else settings, **fields)
    assert (reason, command) in [(step.reason, step.command) for step in steps]
    assert len(steps) <= MAX_STEPS
    words = shlex.split(command)
    assignments = [params_file.parse_assignment(word) for word in words if "=" in word]
    params = tmp_path / "params.yaml"
    params.write_text((ROOT / "params.yaml").read_text())
    params_file.edit(params, assignments)
    params_module.load(params)


def test_a_perfect_model_on_enough_images_needs_no_advice(settings: Params) -> None:
    assert advise(GOOD, make_rows(a=60, b=60), settings) == []
