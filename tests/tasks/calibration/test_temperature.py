import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tasks.calibration.calibration_error import calibration_error
from tasks.calibration.temperature import probabilities, temperatures


def drawn(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return logits that are too large by the factor `scale`, [1, 4000, 3], and classes drawn from the right ones."""
    random = np.random.default_rng(0)
    logits = random.normal(scale=1.5, size=(4000, 3))
    targets = np.array([random.choice(3, p=row) for row in probabilities(logits)])
    return scale * logits[None], targets


@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0])
def test_the_temperature_is_the_factor_by_which_logits_are_too_large(scale: float) -> None:
    logits, targets = drawn(scale)
    [temperature] = temperatures(logits, targets)
    assert temperature == pytest.approx(scale, rel=0.08)
    own = np.arange(len(targets))

    def loss(factor: float) -> float:
        return float(-np.log(probabilities(logits[0] / (scale * factor))[own, targets]).mean())

    best = minimize_scalar(loss, bounds=(0.5, 2), method="bounded")
    assert temperature == pytest.approx(scale * best.x, rel=0.01)


def test_a_temperature_makes_the_calibration_error_small() -> None:
    logits, targets = drawn(5.0)
    [temperature] = temperatures(logits, targets)
    assert calibration_error(probabilities(logits[0]), targets) > 0.15
    assert calibration_error(probabilities(logits[0] / temperature), targets) < 0.02


def test_predictions_that_are_all_right_do_not_make_a_temperature_of_zero() -> None:
    targets = np.repeat(np.arange(3), 4)
    [temperature] = temperatures(np.eye(3)[targets][None], targets)
    assert 0.05 < temperature < 1


def test_the_temperature_of_right_predictions_counts_a_further_image_of_every_class() -> None:
    # 3 images, as if one in 4 were any of the 2 classes: probability 7 / 8 for the class of the image.
    logits = np.log([[0.6, 0.4], [0.6, 0.4], [0.4, 0.6]])
    [temperature] = temperatures(logits[None], np.array([0, 0, 1]))
    assert temperature == pytest.approx(np.log(0.6 / 0.4) / np.log(7), rel=1e-3)


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    predicted = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    assert calibration_error(predicted, np.array([0, 1, 0, 1])) == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)
