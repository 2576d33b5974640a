"""All that the stage measures on the test images; its tables and its page show the same figures."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from tasks.evaluation.attributes import divide_images
from tasks.evaluation.metrics import class_metrics, overall_metrics
from tasks.evaluation.slices import Slices, measure_slices
from tasks.evaluation.test_set import TestSet
from tasks.evaluation.thresholds import measure_points, measure_sets, measure_unknown
from tasks.onnx.model_metadata import ModelMetadata

Row = Mapping[str, Any]


class Measurements(NamedTuple):
    """The figures of the test images.

    `metrics` is the content of metrics.json. The others are the rows of tables: `classes` one a class, `points` one an
    operating point. `slices` are kinds of images with their accuracy.
    """

    metrics: dict[str, Any]
    classes: list[dict[str, Any]]
    points: list[dict[str, Any]]
    slices: Slices


def measure(test: TestSet, metadata: ModelMetadata, manifest: pa.Table) -> Measurements:
    """Measure the predictions, and test the thresholds of the file with them; `manifest` describes the images."""
    labels, guesses = test.labels(), test.guesses()
    metrics = overall_metrics(labels, guesses, test.classes, test.confidence)
    metrics |= measure_unknown(metadata.novelty, test.known, test.confidence)
    metrics |= measure_sets(metadata.coverage, labels, test.probabilities, test.classes, test.confidence)
    points = measure_points(metadata.operating_points, labels, test.probabilities, test.classes, test.confidence)
    slices = measure_slices(test.right, divide_images(manifest, test.paths), test.confidence)
    return Measurements(metrics, class_metrics(labels, guesses, test.classes), points, slices)
