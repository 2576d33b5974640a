"""The part of the page about mistakes: the classes that are confused, and the most confident mistakes in full."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.common.text import count
from tasks.evaluation.confusion import Confusion, Pair
from tasks.evaluation.mistakes import Example
from tasks.evaluation.occlusion import Explanation
from tasks.evaluation.report.explanation import draw_explanation
from tasks.evaluation.report.matrix import MAX_NAME, Matrix, describe_matrix
from tasks.evaluation.test_set import TestSet
from tasks.pages.gallery import Gallery, Tile
from tasks.pages.rendering import clip
from tasks.pages.thumbnails import thumbnails, to_address

MAX_PAIRS = 6
MAX_PAIR_PICTURES = 8
MAX_LINES = 40
MAX_VISIBLE = 12
EXAMPLE_SIDE = 192


class Sample(NamedTuple):
    """An image with its tile, if the gallery has space, and the probability of the predicted class, 0..1."""

    path: str
    tile: Tile | None
    probability: float


class ConfusedPair(NamedTuple):
    """Images of the class `actual` taken for `predicted`: their number, that of all images of `actual`, and samples."""

    actual: str
    predicted: str
    images: int
    all_images: int
    samples: list[Sample]


class ExampleView(NamedTuple):
    """A prediction in full: classes, probabilities, 0..1, pictures as data: addresses, and what they mean in words.

    `picture` is the image and `explanation` the input of the model with what counted; None: cannot be shown.
    """

    path: str
    actual: str
    predicted: str
    probability: float
    actual_probability: float
    runner_up: str | None
    runner_up_probability: float
    known: float | None
    is_known: bool | None
    has_doubtful_label: bool
    picture: str | None
    explanation: str | None


class Mistakes(NamedTuple):
    """The part. `examples` are mistakes or, if there are none, right predictions; `visible` of them are not folded.

    `more_pairs` counts the pairs of classes that are in neither list, `more_examples` the mistakes that are not shown.
    """

    headline: str
    has_mistakes: bool
    matrix: Matrix
    pairs: list[ConfusedPair]
    lines: list[ConfusedPair]
    more_pairs: int
    examples: list[ExampleView]
    visible: int
    more_examples: int
    has_explanations: bool
    has_known: bool
    has_doubtful_labels: bool


def describe_mistakes(
    test: TestSet,
    confusion: Confusion,
    examples: Sequence[Example],
    explanations: Mapping[int, Explanation],
    images: Path,
    gallery: Gallery,
) -> Mistakes:
    """Return the part.

    Args:
        test: the predictions.
        confusion: the images of each pair of classes.
        examples: the predictions that are shown in full.
        explanations: by position in the test set, for as many of the examples as there are.
        images: the folder of the images.
        gallery: gets the small pictures.
    """
    wrong = confusion.mistakes
    mistakes = sum(len(pair.images) for pair in wrong)
    pairs = [_describe_pair(test, pair, confusion, gallery, MAX_PAIR_PICTURES) for pair in wrong[:MAX_PAIRS]]
    lines = [_describe_pair(test, pair, confusion, gallery, 0) for pair in wrong[MAX_PAIRS : MAX_PAIRS + MAX_LINES]]
    views = _describe_examples(test, examples, explanations, images)
    return Mistakes(
        _headline(mistakes, len(test.paths), pairs),
        mistakes > 0,
        describe_matrix(test, confusion, gallery),
        pairs,
        lines,
        len(wrong) - len(pairs) - len(lines),
        views,
        MAX_VISIBLE,
        mistakes - len(views) if mistakes else 0,
        any(view.explanation for view in views),
        test.known is not None,
        any(view.has_doubtful_label for view in views),
    )


def _headline(mistakes: int, images: int, pairs: Sequence[ConfusedPair]) -> str:
    if not mistakes:
        subject = "the only test image is" if images == 1 else f"all {images:,} test images are"
        return f"No mistakes: {subject} recognised."
    worst = pairs[0]
    text = f"{mistakes:,} of {count(images, 'test image')} {'is' if mistakes == 1 else 'are'} taken for another class"
    if mistakes > 1 and worst.images > 1:
        names = f"“{clip(worst.actual, MAX_NAME)}” for “{clip(worst.predicted, MAX_NAME)}”"
        text += f", most often {names}: {worst.images:,} of {worst.all_images:,}"
    return text + "."


def _describe_pair(test: TestSet, pair: Pair, confusion: Confusion, gallery: Gallery, pictures: int) -> ConfusedPair:
    return ConfusedPair(
        test.classes[pair.actual],
        test.classes[pair.predicted],
        len(pair.images),
        int(confusion.counts[pair.actual].sum()),
        [_sample(test, image, gallery) for image in pair.images[:pictures]],
    )


def _sample(test: TestSet, image: int, gallery: Gallery) -> Sample:
    path = test.paths[image]
    return Sample(path, gallery.add(path), float(test.probabilities[image].max()))


def _describe_examples(
    test: TestSet, examples: Sequence[Example], explanations: Mapping[int, Explanation], images: Path
) -> list[ExampleView]:
    pictures = thumbnails(images, [test.paths[example.image] for example in examples], EXAMPLE_SIDE)
    views = []
    for example, picture in zip(examples, pictures, strict=True):
        image, runner_up = example.image, example.runner_up
        probabilities = test.probabilities[image]
        drawing = None
        if image in explanations:
            drawing = draw_explanation(explanations[image], EXAMPLE_SIDE)
        views.append(
            ExampleView(
                test.paths[image],
                test.classes[test.actual[image]],
                test.classes[test.predicted[image]],
                float(test.probabilities[image].max()),
                float(probabilities[test.actual[image]]),
                None if runner_up is None else test.classes[runner_up],
                0.0 if runner_up is None else float(probabilities[runner_up]),
                None if test.known is None else float(test.known[image]),
                example.is_known,
                example.has_doubtful_label,
                picture,
                None if drawing is None else to_address(drawing),
            )
        )
    return views
