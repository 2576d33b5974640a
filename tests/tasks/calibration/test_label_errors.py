import numpy as np
import pytest

from tasks.calibration.label_errors import estimate_errors, likely_labels, margins


def test_margins_compare_with_the_largest_other_class() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4]])
    labels = np.array([0, 2, 1])
    np.testing.assert_allclose(margins(probabilities, labels), [0.8, -0.2, -0.1])
    assert likely_labels(probabilities, labels).tolist() == [1, 1, 2]


def test_errors_are_estimated_from_the_confident_joint_scaled_to_the_class_sizes() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9]])
    labels = np.array([0, 0, 0, 0, 1, 1])
    # Thresholds 0.65 and 0.9: of class 0, two are confidently 0 and none is 1; the fourth counts nowhere.
    assert estimate_errors(probabilities, labels) == 0
    probabilities[2] = [0.05, 0.95]
    # Now two are 0 and one is 1: a third of the four images of class 0.
    assert estimate_errors(probabilities, labels) == pytest.approx(4 / 3)
