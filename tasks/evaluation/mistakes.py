"""The predictions worth a look: the most confident mistakes or, without any, the least confident right ones."""

from typing import NamedTuple

import numpy as np

from tasks.evaluation.test_set import TestSet

MAX_MISTAKES = 24
MAX_RIGHT = 6
# A known image whose given class has a smaller probability may have a wrong label.
DOUBTFUL = 0.05


class Example(NamedTuple):
    """A test image, by its position in the test set.

    `runner_up` is the number of the class with the second largest probability, None if there is only one class.
    `is_known` says whether the image resembles the training images, None if the file does not say. With
    `has_doubtful_label`, the model knows such images and finds the given class very unlikely.
    """

    image: int
    runner_up: int | None
    is_known: bool | None
    has_doubtful_label: bool


def choose_examples(test: TestSet, known_from: float | None) -> list[Example]:
    """Return at most MAX_MISTAKES mistakes, the most confident first, or MAX_RIGHT least confident right predictions.

    Images whose `known` is less than `known_from` do not resemble the training images; None: no image is judged.
    """
    wrong = np.flatnonzero(~test.right)
    confidences = test.confidences
    if len(wrong):
        chosen = wrong[np.argsort(-confidences[wrong], kind="stable")][:MAX_MISTAKES]
    else:
        chosen = np.argsort(confidences, kind="stable")[:MAX_RIGHT]
    return [_describe(test, int(image), known_from) for image in chosen]


def _describe(test: TestSet, image: int, known_from: float | None) -> Example:
    probabilities = test.probabilities[image]
    order = np.argsort(-probabilities, kind="stable")
    runner_up = next((int(number) for number in order if number != test.predicted[image]), None)
    is_known = None if test.known is None or known_from is None else bool(test.known[image] >= known_from)
    # A class without training images has the probability 0 in every row, which says nothing of its labels.
    is_learnt = bool(test.probabilities[:, test.actual[image]].any())
    is_unlikely = bool(probabilities[test.actual[image]] < DOUBTFUL)
    return Example(image, runner_up, is_known, is_learnt and is_unlikely and bool(is_known))
