import numpy as np
import pytest

from tasks.calibration.intervals import wilson_interval
from tasks.evaluation.reliability import measure_reliability
from tests.tasks.evaluation.examples import make_test_set


def test_each_bin_that_has_images_knows_their_probability_and_the_share_of_right_ones() -> None:
    test = make_test_set("aaab", "aabb", ["a", "b"])
    probabilities = np.array([[1.0, 0.0], [0.97, 0.03], [0.5, 0.5], [0.48, 0.52]], np.float32)
    bins = measure_reliability(test._replace(probabilities=probabilities))
    middle, last = bins
    assert middle.probability == pytest.approx(0.51)
    assert middle[:4] + middle[5:] == (7 / 15, 8 / 15, 2, 1, 0.5, *wilson_interval(1, 2, 0.95))
    assert last.probability == pytest.approx(0.985)
    assert last[:4] + last[5:] == (14 / 15, 1.0, 2, 2, 1.0, *wilson_interval(2, 2, 0.95))
