import shlex
from collections.abc import Callable
from typing import Any

import pytest

from tasks.backbone.registry import load_architectures
from tasks.common.params import Params
from tasks.evaluation.feature_map import FeatureMap
from tasks.evaluation.learning_curve import Gain, LearningCurve
from tasks.evaluation.measurements import Measurements
from tasks.evaluation.metrics import class_metrics, overall_metrics
from tasks.evaluation.report.next_steps import MAX_STEPS, Step, describe_next_steps
from tasks.evaluation.slices import Slice, Slices
from tasks.evaluation.test_set import TestSet
from tasks.tables.accepted import Accepted
from tests.docs.checks import check_graft
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


def advise(
    test: TestSet, rows: list[Accepted], settings: Params, *, splits_are_drawn: bool = True, **fields: Any
) -> list[Step]:
    return describe_next_steps(measurements_of(test, **fields), test, rows, settings, splits_are_drawn=splits_are_drawn)


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
            make_rows(a=60, b=60),
            None,
            {"feature_map": FeatureMap([], 320, 120, 4)},
            "4 labels of 120 training and validation images may be wrong.",
            "graft data review",
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
            "'b' has 1 test image.",
            "graft train --set dataset.test_fraction=0.3",
        ),
        (
            make_test_set("aaaaa", "aaaaa", ["a", "b"]),
            make_rows(a=60, b=60),
            None,
            {"splits_are_drawn": False},
            "'b' has 0 test images.",
            "graft data add FOLDER",
        ),
        (
            make_test_set("aaaaabbbbb", "aaaaabbbbb", ["a", "b"]),
            make_rows(a=60, b=60),
            change("dataset", test_fraction=0.4),
            {},
            "10 test images cannot say more than the wide intervals above.",
            "graft data add FOLDER",
        ),
        (
            SOME_WRONG,
            make_rows(a=60, b=60),
            change("head", search="off"),
            {},
            "5.0% of the test images are wrong, and the only head that was tried is that of the params.",
            "graft train --set head.search=grid",
        ),
        (
            SOME_WRONG,
            make_rows(a=60, b=60),
            change("backbone", cut=0.5),
            {},
            "5.0% of the test images are wrong, with the layers up to 0.5 alone.",
            "graft train --set backbone.cut=null",
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
        *("doubtful labels", "starter weights", "likely wrong labels", "few training images", "steep learning curve"),
        *("imbalance", "bad slice", "few test images", "given splits", "a large test already", "no search"),
        *("a cut network", "given taps", "few views", "no fine-tuning", "another network"),
    ],
)
def test_a_figure_gives_advice_with_a_command_that_graft_accepts(
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
    check_graft(shlex.split(command)[1:])
    if "--backbone" in command:
        assert command.rsplit(maxsplit=1)[-1] in load_architectures()


def test_a_model_that_mistakes_many_images_says_no_number_of_wrong_labels(settings: Params) -> None:
    assert advise(GOOD, make_rows(a=60, b=60), settings, feature_map=FeatureMap([], 320, 120, 13)) == []


def test_a_perfect_model_on_enough_images_needs_no_advice(settings: Params) -> None:
    assert advise(GOOD, make_rows(a=60, b=60), settings) == []
