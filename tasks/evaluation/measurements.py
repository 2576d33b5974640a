"""All that the stage measures on the test images; its tables and its page show the same figures."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tasks.evaluation.metrics import class_metrics, overall_metrics
from tasks.evaluation.test_set import TestSet
from tasks.evaluation.thresholds import measure_points, measure_sets, measure_unknown
from tasks.onnx.model_metadata import ModelMetadata

Row = Mapping[str, Any]


class Measurements(NamedTuple):
    """The figures of the test images.

    `metrics` is the content of metrics.json. The others are the rows of tables: `classes` one a class, `points` one an
    operating point.
    """

    metrics: dict[str, Any]
    classes: list[dict[str, Any]]
    points: list[dict[str, Any]]


def measure(test: TestSet, metadata: ModelMetadata) -> Measurements:
    """Measure the predictions, and test the thresholds of the file with them."""
    labels, guesses = test.labels(), test.guesses()
    metrics = overall_metrics(labels, guesses, test.classes, test.confidence)
    metrics |= measure_unknown(metadata.novelty, test.known, test.confidence)
    metrics |= measure_sets(metadata.coverage, labels, test.probabilities, test.classes, test.confidence)
    points = measure_points(metadata.operating_points, labels, test.probabilities, test.classes, test.confidence)
    return Measurements(metrics, class_metrics(labels, guesses, test.classes), points)
