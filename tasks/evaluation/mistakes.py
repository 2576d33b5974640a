"""The predictions worth a look: the most confident mistakes or, without any, the least confident right ones."""

from typing import NamedTuple

import numpy as np

from tasks.evaluation.test_set import Mask, TestSet

MAX_MISTAKES = 24
MAX_RIGHT = 6
# A mistake of this probability may be due to a wrong label, if so large a share of such predictions is right.
SURE = 0.95


class Example(NamedTuple):
    """A test image, by its position in the test set.

    `runner_up` is the number of the class with the second largest probability, None if there is only one class.
    `is_known` says whether the image resembles the training images, None if the file does not say. With
    `has_doubtful_label`, the model knows such images, is sure of another class, and is mostly right when it is.
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
    doubtful = _find_doubtful_labels(test, known_from)
    return [_describe(test, image, known_from, bool(doubtful[image])) for image in chosen.tolist()]


def _find_doubtful_labels(test: TestSet, known_from: float | None) -> Mask:
    """Return which mistakes may be due to a wrong label, bool [N]."""
    is_sure = test.confidences >= SURE
    # A model that is often wrong where it is sure, or that cannot tell what it knows, is no witness.
    if test.known is None or known_from is None or not is_sure.any() or test.right[is_sure].mean() < SURE:
        return np.zeros(len(test.paths), np.bool_)
    # A class without training images has the probability 0 in every row, which says nothing of its labels.
    is_learnt = test.probabilities.max(axis=0)[test.actual] > 0
    return np.asarray(~test.right & is_sure & is_learnt & (test.known >= known_from))


def _describe(test: TestSet, image: int, known_from: float | None, has_doubtful_label: bool) -> Example:  # noqa: FBT001
    order = np.argsort(-test.probabilities[image], kind="stable").tolist()
    runner_up = next((number for number in order if number != test.predicted[image]), None)
    is_known = None if test.known is None or known_from is None else bool(test.known[image] >= known_from)
    return Example(image, runner_up, is_known, has_doubtful_label)
