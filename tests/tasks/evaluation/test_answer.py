import pytest

from tasks.calibration.difference import Difference
from tasks.evaluation.baselines import Baseline
from tasks.evaluation.metrics import class_metrics, overall_metrics
from tasks.evaluation.report.answer import AnswerPart, describe_answer
from tasks.evaluation.slices import find_weak_classes
from tests.tasks.evaluation.examples import make_test_set


def describe(right: int, wrong: int, baselines: list[Baseline] | None = None) -> AnswerPart:
    """Describe test images of class a, so many of which are called b."""
    test = make_test_set(["a"] * (right + wrong) + ["b"] * 5, ["a"] * right + ["b"] * (wrong + 5), ["a", "b"])
    return describe_answer(overall_metrics(test), class_metrics(test), baselines or [], [], [])


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        (
            *(93, 2),
            (
                "About 2 of 100 new pictures like these will be wrong, and between 0.6 and 7 are plausible (2 "
                "mistakes in 100 test images)."
            ),
        ),
        (
            *(995, 0),
            (
                "All 1,000 test images are right. Of 100 new pictures like these, up to 0.4 may still be wrong: "
                "1,000 test images cannot say less."
            ),
        ),
        (
            *(0, 5),
            (
                "About 50 of 100 new pictures like these will be wrong, and between 24 and 76 are plausible (5 "
                "mistakes in 10 test images)."
            ),
        ),
        (
            *(994, 1),
            (
                "About 0.1 of 100 new pictures like these will be wrong, and between 0 and 0.6 are plausible (1 "
                "mistake in 1,000 test images)."
            ),
        ),
    ],
    ids=["a few", "none", "half", "one in a thousand"],
)
def test_the_first_sentence_says_how_many_new_pictures_will_be_wrong(right: int, wrong: int, sentence: str) -> None:
    assert describe(right, wrong).sentences[0] == sentence


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (
            Difference(0.6, 0.9, 0.25, 0.35),
            "The pretrained network gains 30.0 points (25.0 to 35.0) over logistic regression on small pixels.",
        ),
        (
            Difference(0.9, 0.6, -0.35, -0.25),
            (
                "Logistic regression on small pixels is better, by 30.0 points (25.0 to 35.0): the pretrained "
                "network does not suit these images."
            ),
        ),
        (
            Difference(0.88, 0.9, -0.01, 0.05),
            (
                "The pretrained network is not clearly better than logistic regression on small pixels: +2.0 "
                "points (-1.0 to +5.0)."
            ),
        ),
    ],
    ids=["better", "worse", "unclear"],
)
def test_the_gain_over_small_pixels_is_a_sentence_with_its_interval(difference: Difference, sentence: str) -> None:
    part = describe(90, 10, [Baseline("pixels", "100", 105, difference, 0.5)])
    assert part.sentences[1] == sentence
    assert [row.name for row in part.rows] == ["this model", "logistic regression on 16x16 pixels"]


def test_classes_with_few_test_images_and_weak_classes_are_named() -> None:
    actual = [*"a" * 60, *"b" * 40, *"c" * 2, *"d" * 4, "e", "\nf", "g", "h"]
    predicted = [*"a" * 60, *"a" * 30, *"b" * 10, *actual[100:]]
    test = make_test_set(actual, predicted, sorted(set(actual)))
    part = describe_answer(overall_metrics(test), class_metrics(test), [], find_weak_classes(test), ["one", "two"])
    assert part.sentences[1:] == [
        r"'\nf', 'e', 'g' and 3 more classes have too few test images to say (1 to 4).",
        "'b' is recognised clearly less often than the others (25 %).",
    ]
    assert (part.warnings, part.more_warnings) == (["one", "two"], 0)


def test_a_single_test_image_is_said_to_be_the_only_one() -> None:
    test = make_test_set("a", "a", ["a", "b"])
    sentences = describe_answer(overall_metrics(test), class_metrics(test), [], [], []).sentences
    assert sentences == [
        (
            "The only test image is right. Of 100 new pictures like these, up to 79 may still be wrong: 1 test "
            "image cannot say less."
        ),
        "'b' and 'a' have too few test images to say (0 to 1).",
    ]
