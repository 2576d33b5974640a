import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tasks.calibration.intervals import f1_interval, mean_interval, wilson_interval


@pytest.mark.parametrize(
    ("hits", "images", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
    ids=["8 of 10", "0 of 10", "10 of 10", "50 of 100"],
)
def test_the_interval_is_that_of_the_textbooks(hits: int, images: int, low: float, high: float) -> None:
    assert wilson_interval(hits, images, 0.95) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 300), st.data(), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_interval_is_that_of_scipy_and_holds_the_share(images: int, data: st.DataObject, confidence: float) -> None:
    hits = data.draw(st.integers(0, images))
    low, high = wilson_interval(hits, images, confidence)
    expected = binomtest(hits, images).proportion_ci(confidence, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= hits / images <= high <= 1


@pytest.mark.parametrize(
    ("hits", "mistakes", "low", "high"),
    [(0, 4, 0.0, 0.6576), (4, 0, 0.6756, 1.0), (9, 1, 0.7467, 0.9910)],
    ids=["none right", "all right", "most right"],
)
def test_the_interval_of_f1_is_that_of_its_share(hits: int, mistakes: int, low: float, high: float) -> None:
    assert f1_interval(hits, mistakes, 0.95) == pytest.approx((low, high), abs=5e-5)


def test_distances_of_a_mean_combine_as_standard_errors_do() -> None:
    low, high = mean_interval([0.5, 0.7], [(0.2, 0.6), (0.3, 0.8)], correlation=0)
    assert (low, high) == pytest.approx((0.6 - 0.25, 0.6 + 0.1 / 2**0.5))
    wider_low, wider_high = mean_interval([0.5, 0.7], [(0.2, 0.6), (0.3, 0.8)], correlation=1)
    assert (wider_low, wider_high) == pytest.approx((0.6 - 0.25 * 2**0.5, 0.7))
    assert mean_interval([0.9], [(0.1, 1.0)], correlation=3) == (0.0, 1.0)
