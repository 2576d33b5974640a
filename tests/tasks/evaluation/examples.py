"""Test sets from the classes of their images."""

from collections.abc import Sequence

import numpy as np

from tasks.evaluation.test_set import TestSet


def make_test_set(
    actual: Sequence[str], predicted: Sequence[str], classes: Sequence[str], confidence: float = 0.95
) -> TestSet:
    """Return a test set; each predicted class has the probability 0.9."""
    numbers = {name: number for number, name in enumerate(classes)}
    guesses = np.array([numbers[name] for name in predicted], np.int64)
    probabilities = np.full((len(actual), len(classes)), 0.1 / max(1, len(classes) - 1), np.float32)
    probabilities[np.arange(len(actual)), guesses] = 0.9
    labels = np.array([numbers[name] for name in actual], np.int64)
    paths = [f"{name}/{number}.png" for number, name in enumerate(actual)]
    return TestSet(paths, labels, guesses, probabilities, None, list(classes), confidence)
