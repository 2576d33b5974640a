import numpy as np
import pytest

from tasks.export.validation_sample import ValidationSample
from tasks.export.variants.variant import RefusedError, check_equal

PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
SAMPLE = ValidationSample(
    np.zeros((2, 4, 4, 3), np.uint8), {"probabilities": PROBABILITIES, "known": np.array([0.5, 0.75], np.float32)}
)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        pytest.param(
            {"probabilities": PROBABILITIES + np.float32(0.005)},
            "same top class on 2 validation images, probabilities within 1e-02",
            id="no score",
        ),
        pytest.param(
            SAMPLE.outputs, "same top class on 2 validation images, probabilities and known within 1e-02", id="equal"
        ),
    ],
)
def test_a_variant_within_the_tolerance_passes(outputs: dict[str, np.ndarray], expected: str) -> None:
    assert check_equal(outputs, SAMPLE, 0.01) == expected


@pytest.mark.parametrize(
    ("outputs", "changed", "difference"),
    [
        pytest.param({"probabilities": PROBABILITIES[:, ::-1]}, 2, "probabilities by up to 8.0e-01", id="other class"),
        pytest.param(
            {"probabilities": PROBABILITIES + np.float32(0.25)}, 0, "probabilities by up to 2.5e-01", id="far"
        ),
        pytest.param({"probabilities": PROBABILITIES * np.float32(np.nan)}, 1, "probabilities by up to nan", id="NaN"),
        pytest.param(
            {"probabilities": PROBABILITIES, "known": np.array([0.5, 0.5], np.float32)},
            0,
            "probabilities by up to 0.0e+00 and known by up to 2.5e-01",
            id="score",
        ),
    ],
)
def test_a_variant_that_differs_is_refused_with_its_figures(
    outputs: dict[str, np.ndarray], changed: int, difference: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        check_equal(outputs, SAMPLE, 0.01)
    assert str(caught.value) == (
        f"on 2 validation images its top class differs from that of model.onnx {changed} times, and {difference}; at "
        "most 1e-02 is allowed"
    )
