from typing import Any

import pytest

from tasks.evaluation.reliability import Bin
from tasks.evaluation.report.trust import describe_trust

METRICS = {"confidence": 0.95, "calibration_error": 0.01}
UNKNOWN = {"unknown": 0.05, "unknown_low": 0.02, "unknown_high": 0.11}
COVERAGE = {"coverage": 0.9, "coverage_low": 0.8, "coverage_high": 0.95, "set_size": 1.25}
FITTING = Bin(0.8, 0.9, 40, 34, 0.85, 0.85, 0.7, 0.93)


@pytest.mark.parametrize(
    ("metrics", "bins", "sentences"),
    [
        ({}, [FITTING], ["A probability is off by 1.0 points on average: it may be read as the chance to be right."]),
        (
            {"calibration_error": 0.08},
            [FITTING],
            ["A probability is off by 8.0 points on average: it is roughly the chance to be right."],
        ),
        (
            {"calibration_error": 0.2},
            [FITTING, Bin(0.9, 1.0, 50, 30, 0.95, 0.6, 0.46, 0.72)],
            [
                (
                    "A probability is off by 20.0 points on average: it gives the order of pictures, but not the "
                    "chance to be right."
                ),
                "Probabilities of 90 to 100 % are too high: 60 % of 50 images are right.",
            ],
        ),
        (
            UNKNOWN | COVERAGE,
            [Bin(0.2, 0.3, 10, 9, 0.25, 0.9, 0.6, 0.98)],
            [
                "A probability is off by 1.0 points on average: it may be read as the chance to be right.",
                "Probabilities of 20 to 30 % are too low: 90 % of 10 images are right.",
                (
                    "5.0 % of the test images (2.0 to 11.0 %) are called unknown, since they resemble the "
                    "training images too little."
                ),
                "Sets of 1.25 classes on average contain the right one for 90.0 % of the test images (80.0 to 95.0 %).",
            ],
        ),
    ],
    ids=["small error", "some error", "large error", "unknown and coverage"],
)
def test_the_sentences_say_what_a_probability_is_worth(
    metrics: dict[str, Any], bins: list[Bin], sentences: list[str]
) -> None:
    part = describe_trust(METRICS | metrics, bins, [])
    assert part.sentences == sentences
    for chart in (part.curve, part.histogram):
        assert chart.startswith('<svg class="chart"')
