"""`report.html`: a run on one page, from the answer to the next steps."""

from pathlib import Path

from tasks.common.params import Params
from tasks.evaluation.inputs import Inputs
from tasks.evaluation.measurements import Measurements
from tasks.evaluation.report.data import describe_data
from tasks.evaluation.report.slices import describe_slices
from tasks.evaluation.test_set import TestSet
from tasks.pages import rendering
from tasks.pages.gallery import SIDE, Gallery

TEMPLATE = Path(__file__).parent / "templates" / "report.html"
# So many small pictures take about 5 MB.
MAX_PICTURES = 3000


def write_report(
    file: Path,
    images: Path,
    inputs: Inputs,
    params: Params,  # noqa: ARG001
    test: TestSet,
    measurements: Measurements,
) -> None:
    """Write the page; the same arguments and files give the same bytes.

    `images` is the folder of the images, `inputs` are the files of the stages before this one.
    """
    gallery = Gallery(images, MAX_PICTURES)
    text = rendering.render(
        TEMPLATE,
        metrics=measurements.metrics,
        data=describe_data(inputs, gallery),
        slices=describe_slices(measurements.slices, len(test.paths), measurements.metrics["accuracy"]),
        # The last one, since the parts add their pictures to it.
        sheets=gallery.sheets(),
        side=SIDE,
    )
    rendering.write_page(file, text)
