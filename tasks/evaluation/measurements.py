"""All that the stage measures on the test images; its tables and its page show the same figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from tasks.calibration.calibration_error import calibration_error
from tasks.evaluation.attributes import divide_images
from tasks.evaluation.baselines import Baseline, measure_baselines
from tasks.evaluation.confusion import Confusion, measure_confusion
from tasks.evaluation.feature_map import FeatureMap, draw_feature_map
from tasks.evaluation.learning_curve import LearningCurve, measure_learning_curve
from tasks.evaluation.metrics import class_metrics, overall_metrics
from tasks.evaluation.mistakes import Example, choose_examples
from tasks.evaluation.reliability import Bin, measure_reliability
from tasks.evaluation.slices import Slice, Slices, find_weak_classes, measure_slices
from tasks.evaluation.test_set import TestSet
from tasks.evaluation.thresholds import measure_points, measure_sets, measure_unknown
from tasks.evaluation.vectors import Vectors
from tasks.onnx.model_metadata import ModelMetadata
from tasks.tables.accepted import Accepted
from tasks.tables.held_out import HeldOut

Row = Mapping[str, Any]


class Measurements(NamedTuple):
    """The figures of the test images.

    `metrics` is the content of metrics.json. The others are the rows of tables: `classes` one a class, `points` one an
    operating point. `bins` are those of the calibration curve, `baselines` two simple classifiers, and `slices` kinds
    of images with their accuracy. `weak_classes` are recognised clearly less often than the others. `confusion` has the
    images of each pair of classes, `examples` are predictions worth a look, and `learning_curve` and `feature_map` are
    None with too few images.
    """

    metrics: dict[str, Any]
    classes: list[dict[str, Any]]
    points: list[dict[str, Any]]
    bins: list[Bin]
    baselines: list[Baseline]
    slices: Slices
    weak_classes: list[Slice]
    confusion: Confusion
    examples: list[Example]
    learning_curve: LearningCurve | None
    feature_map: FeatureMap | None


class Tables(NamedTuple):
    """The tables that describe the images.

    `manifest` describes all images of the dataset, `accepted` are those in use, `vectors` their features, and
    `held_out` the predictions on folds for those that the head was trained on.
    """

    manifest: pa.Table
    accepted: Sequence[Accepted]
    vectors: Vectors
    held_out: HeldOut


def measure(test: TestSet, metadata: ModelMetadata, tables: Tables, images: Path) -> Measurements:
    """Measure the predictions, and test the thresholds of the file with them; `images` is the folder of the images."""
    labels = test.labels()
    metrics = overall_metrics(test)
    baselines = measure_baselines(images, tables.accepted, test)
    for baseline in baselines:
        metrics |= baseline.metrics()
    metrics["calibration_error"] = calibration_error(test.probabilities, test.actual)
    metrics |= measure_unknown(metadata.novelty, test.known, test.confidence)
    metrics |= measure_sets(metadata.coverage, labels, test.probabilities, test.classes, test.confidence)
    points = measure_points(metadata.operating_points, labels, test.probabilities, test.classes, test.confidence)
    slices = measure_slices(test.right, divide_images(tables.manifest, test.paths), test.confidence)
    return Measurements(
        metrics,
        class_metrics(test),
        points,
        measure_reliability(test),
        baselines,
        slices,
        find_weak_classes(test),
        measure_confusion(test),
        choose_examples(test, metadata.novelty.get("threshold")),
        measure_learning_curve(tables.vectors, test.confidence),
        draw_feature_map(tables.vectors, test, tables.held_out),
    )
