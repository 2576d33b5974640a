"""The part of the page about what to try next: advice that follows from figures, each with a command."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tasks.common.params import Params
from tasks.common.text import count, printable
from tasks.evaluation.measurements import Measurements
from tasks.evaluation.report.wording import state_small
from tasks.evaluation.test_set import TestSet
from tasks.tables.accepted import Accepted

MAX_STEPS = 6
# With fewer test images, the interval of an accuracy of 95 % is wider than 10 points.
FEW_TEST_IMAGES = 100
# Below, the interval of a class's recall covers most of the scale.
FEW_IMAGES_OF_CLASS = 5
# A class of fewer training images is often recognised less well than it could be.
FEW_TRAINING_IMAGES = 20
# Share of additional right predictions that is worth the work of taking pictures.
WORTHWHILE_GAIN = 0.005
# Augmented views help while images are few.
FEW_FOR_VIEWS = 100
# Fine-tuning changes many weights, which needs images.
ENOUGH_FOR_TUNING = 50
# A model that is right more often leaves little to gain.
NEARLY_PERFECT = 0.99
# Largest class size over smallest, from which on the accuracy hides the small classes.
IMBALANCE = 5
# A given class with a smaller probability than the first, and another class with more than the second, may be a wrong
# label.
IMPROBABLE, PROBABLE = 0.05, 0.9
# A larger share for the test leaves too little to train on.
MAX_TEST_FRACTION = 0.3


class Step(NamedTuple):
    """Advice: the figure that it follows from, and what to do, in sentences, and the command to run."""

    reason: str
    advice: str
    command: str


def describe_next_steps(
    measurements: Measurements, test: TestSet, rows: Sequence[Accepted], params: Params, *, splits_are_drawn: bool
) -> list[Step]:
    """Return at most MAX_STEPS steps, the ones with most to gain first.

    `rows` are the images of all splits. `splits_are_drawn` is false if folders or the table give them all, so that the
    params of the split have no effect.
    """
    steps = [
        *_advise_on_labels(measurements, test),
        *_advise_on_weights(measurements, params),
        *_advise_on_images(measurements, rows),
        *_advise_on_imbalance(measurements, rows, params),
        *_advise_on_slices(measurements),
        *_advise_on_test_images(test, params, splits_are_drawn=splits_are_drawn),
        *_advise_on_training(measurements, rows, params),
    ]
    return steps[:MAX_STEPS]


def _advise_on_labels(measurements: Measurements, test: TestSet) -> Iterator[Step]:
    given = test.probabilities[range(len(test.paths)), test.actual]
    doubtful = int(((given < IMPROBABLE) & (test.confidences > PROBABLE)).sum())
    reasons = []
    if doubtful:
        images = f"{count(doubtful, 'test image')} {'has' if doubtful == 1 else 'have'}"
        reasons.append(
            f"{images} another class with more than {PROBABLE:.0%}, and the given one with less than {IMPROBABLE:.0%}."
        )
    feature_map = measurements.feature_map
    if feature_map and feature_map.likely_errors and feature_map.errors_are_credible:
        labels = count(feature_map.likely_errors, "label")
        reasons.append(f"{labels} of {count(feature_map.judged, 'training and validation image')} may be wrong.")
    if reasons:
        yield Step(
            " ".join(reasons),
            "Look for wrong labels: one in the test costs accuracy on paper, one in training costs it in truth.",
            "graft data review",
        )


def _advise_on_weights(measurements: Measurements, params: Params) -> Iterator[Step]:
    accuracy = measurements.metrics["accuracy"]
    if params.backbone.weights == "starter" and accuracy < NEARLY_PERFECT:
        yield Step(
            f"The accuracy of {accuracy:.1%} is that of the starter weights, which have never seen a photograph.",
            "If the images are photographs, take weights that were trained on photographs.",
            "graft train --backbone MobileNetV2",
        )


def _advise_on_images(measurements: Measurements, rows: Sequence[Accepted]) -> Iterator[Step]:
    training = Counter(row.label for row in rows if row.split == "train")
    if few := state_small(training, FEW_TRAINING_IMAGES):
        yield Step(
            f"{few[0]} {few[1]} training {_images(few[1])}, fewer than {FEW_TRAINING_IMAGES}.",
            "Add more pictures there.",
            "graft data add FOLDER",
        )
    gains = measurements.learning_curve.gains if measurements.learning_curve else []
    if gains and gains[0].gain >= WORTHWHILE_GAIN:
        gain = gains[0]
        yield Step(
            f"{gain.images:.0f} more images a class would bring about {100 * gain.gain:.1f} points of accuracy "
            f"({100 * gain.low:.1f} to {100 * gain.high:.1f}).",
            "Take more pictures.",
            "graft data add FOLDER",
        )


def _advise_on_imbalance(measurements: Measurements, rows: Sequence[Accepted], params: Params) -> Iterator[Step]:
    numbers = Counter(row.label for row in rows).values()
    metrics = measurements.metrics
    accuracy, macro_f1 = metrics["accuracy"], metrics["macro_f1"]
    if (
        params.head.criterion == "accuracy"
        and max(numbers, default=0) > IMBALANCE * min(numbers, default=0)
        and macro_f1 < accuracy
    ):
        yield Step(
            f"The largest class has {max(numbers) / min(numbers):.0f} times as many images as the smallest, and macro "
            f"F1 ({macro_f1:.1%}) is below the accuracy ({accuracy:.1%}).",
            "Choose the head by macro F1, in which all classes count the same.",
            "graft train --set head.criterion=macro_f1",
        )


def _advise_on_slices(measurements: Measurements) -> Iterator[Step]:
    for row in measurements.slices.rows:
        if row.verdict == "worse":
            kind = f"{printable(row.attribute)} {printable(row.value)}"
            yield Step(
                f"{row.accuracy:.1%} of the images with {kind} are right, and {row.others_accuracy:.1%} of the others.",
                "Add training images of this kind.",
                "graft data add FOLDER",
            )
            return


def _advise_on_test_images(test: TestSet, params: Params, *, splits_are_drawn: bool) -> Iterator[Step]:
    numbers = Counter(test.labels())
    few = state_small({name: numbers[name] for name in test.classes}, FEW_IMAGES_OF_CLASS)
    if few is None and len(test.paths) >= FEW_TEST_IMAGES:
        return
    images = count(len(test.paths), "test image")
    reason = f"{images} cannot say more than the wide intervals above."
    if few:
        reason = f"{few[0]} {few[1]} test {_images(few[1])}."
    fraction = min(MAX_TEST_FRACTION, 2 * params.dataset.test_fraction)
    if splits_are_drawn and fraction > params.dataset.test_fraction:
        advice = "Keep a larger share for the test, if you cannot add pictures."
        yield Step(reason, advice, f"graft train --set dataset.test_fraction={fraction:g}")
    else:
        yield Step(reason, "Add more pictures to the test.", "graft data add FOLDER")


def _images(number: str) -> str:
    """Return the noun that follows a number, or a range of numbers, in a sentence."""
    return "image" if number == "1" else "images"


def _advise_on_training(measurements: Measurements, rows: Sequence[Accepted], params: Params) -> Iterator[Step]:
    accuracy = measurements.metrics["accuracy"]
    training = Counter(row.label for row in rows if row.split == "train")
    if accuracy >= NEARLY_PERFECT or not training:
        return
    images = sum(training.values()) / len(training)
    wrong = f"{1 - accuracy:.1%} of the test images are wrong"
    if params.head.search == "off":
        yield Step(
            f"{wrong}, and the only head that was tried is that of the params.",
            "Let the search compare many heads.",
            "graft train --set head.search=grid",
        )
    if params.backbone.cut is not None:
        yield Step(
            f"{wrong}, with the layers up to {printable(str(params.backbone.cut))} alone.",
            "Use the layers after it, too.",
            "graft train --set backbone.cut=null",
        )
    if params.features.taps != "auto":
        yield Step(
            f"{wrong}, and the head reads given layers only.",
            "Let the search choose among layers of several depths.",
            "graft train --set features.taps=auto",
        )
    if params.features.views == 1 and images < FEW_FOR_VIEWS:
        yield Step(
            f"{wrong}, with {images:.0f} training images a class.",
            "Train on several changed views of each image.",
            "graft train --set features.views=4",
        )
    if not params.finetuning.enabled and images >= ENOUGH_FOR_TUNING:
        yield Step(
            f"{wrong}, with {images:.0f} training images a class, enough to adapt the network.",
            "Fine-tune its last layers; the head stays if that is not clearly better.",
            "graft train --set finetuning.enabled=true",
        )
    if params.backbone.weights != "starter":
        yield Step(
            f"{wrong} with {params.backbone.name}.",
            "Compare another network.",
            f"graft train --backbone {'ResNet50' if params.backbone.name != 'ResNet50' else 'EfficientNetV2B0'}",
        )
