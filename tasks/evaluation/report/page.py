"""`report.html`: a run on one page, from the answer to the next steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.common.params import Params
from tasks.evaluation.inputs import Inputs
from tasks.evaluation.measurements import Measurements
from tasks.evaluation.occlusion import Explanation
from tasks.evaluation.report.answer import describe_answer, read_warnings
from tasks.evaluation.report.classes import describe_classes
from tasks.evaluation.report.data import describe_data
from tasks.evaluation.report.feature_map import describe_feature_map
from tasks.evaluation.report.mistakes import describe_mistakes
from tasks.evaluation.report.next_steps import describe_next_steps
from tasks.evaluation.report.run import describe_run
from tasks.evaluation.report.slices import describe_slices
from tasks.evaluation.report.training import describe_training
from tasks.evaluation.report.trust import describe_trust
from tasks.evaluation.test_set import TestSet
from tasks.evaluation.thresholds import missed_points
from tasks.onnx.model_metadata import ModelMetadata
from tasks.pages import rendering
from tasks.pages.gallery import SIDE, Gallery
from tasks.tables import manifest
from tasks.tables.accepted import Accepted

TEMPLATE = Path(__file__).parent / "templates" / "report.html"
# So many small pictures take about 5 MB.
MAX_PICTURES = 3000
# The parts after the answer, in order, with their names in the list of contents.
CONTENTS = {
    "data": "The data",
    "mistakes": "Mistakes",
    "classes": "Class by class",
    "trust": "Trust",
    "slices": "Kinds of images",
    "training": "The training",
    "feature_map": "Map",
    "run": "The run",
    "next_steps": "What to try next",
}


def write_report(
    file: Path,
    images: Path,
    inputs: Inputs,
    params: Params,
    metadata: ModelMetadata,
    rows: Sequence[Accepted],
    test: TestSet,
    measurements: Measurements,
    explanations: Mapping[int, Explanation],
) -> None:
    """Write the page; the same arguments and files give the same bytes.

    `images` is the folder of the images, `inputs` are the files of the stages before this one, `metadata` the facts in
    the exported file, and `rows` the images of all splits. `explanations`
    say what counted in some of the test images, by position in `test`.
    """
    gallery = Gallery(images, MAX_PICTURES)
    metrics, confidence = measurements.metrics, test.confidence
    warnings = read_warnings(inputs) + missed_points(measurements.points)
    parts = {
        "answer": describe_answer(
            metrics, measurements.classes, measurements.baselines, measurements.weak_classes, warnings
        ),
        "data": describe_data(inputs, gallery),
        "mistakes": describe_mistakes(
            test, measurements.confusion, measurements.examples, explanations, images, gallery
        ),
        "classes": describe_classes(measurements.classes, confidence),
        "trust": describe_trust(metrics, measurements.bins, measurements.points),
        "training": describe_training(inputs, measurements.learning_curve, confidence),
        "feature_map": describe_feature_map(measurements.feature_map, gallery),
        "run": describe_run(inputs, metadata, params),
        "next_steps": describe_next_steps(measurements, test, rows, params, splits_are_drawn=_are_drawn(inputs)),
        "slices": describe_slices(measurements.slices, len(test.paths), metrics["accuracy"]),
    }
    text = rendering.render(
        TEMPLATE,
        **parts,
        contents=[(name, title) for name, title in CONTENTS.items() if parts[name]],
        # The last one, since the parts add their pictures to it.
        sheets=gallery.sheets(),
        side=SIDE,
    )
    rendering.write_page(file, text)


def _are_drawn(inputs: Inputs) -> bool:
    """Return whether Graft drew the split of any image, which neither a folder nor the table gave."""
    rows = manifest.read(inputs.manifest).select(["split", "given_split"]).to_pylist()
    return any(row["split"] and not row["given_split"] for row in rows)
