"""The expectations about a dataset, as Great Expectations suites."""

import html
from collections.abc import Mapping

import great_expectations.expectations as gxe
from great_expectations import ExpectationSuite

from tasks.common.params import Validation

BLOCKING = "critical"
WARNING = "warning"


def image_suite(params: Validation, findings: Mapping[str, str]) -> ExpectationSuite:
    """Return the suite over the manifest, one row a file; the column `set_aside` is null for usable images.

    `findings` are sentences by column, shown in place of the general wording of the expectation about that column.
    """
    return ExpectationSuite(
        name="images",
        expectations=[
            gxe.ExpectColumnValuesToBeNull(
                column="set_aside",
                mostly=1 - params.max_unusable_fraction,
                severity=BLOCKING,
                description=_description(findings, "set_aside"),
            ),
            gxe.ExpectColumnValuesToBeUnique(column="path", severity=BLOCKING),
            gxe.ExpectColumnValuesToBeInSet(column="split", value_set=["train", "val", "test"], severity=BLOCKING),
            gxe.ExpectColumnValuesToBeUnique(
                column="sha256", severity=WARNING, description=_description(findings, "sha256")
            ),
        ],
    )


def class_suite(params: Validation, findings: Mapping[str, str]) -> ExpectationSuite:
    """Return the suite over the classes, one row a class with its counts of usable images.

    `findings` are sentences by column as above; `label` is about the number of classes.
    """
    return ExpectationSuite(
        name="classes",
        expectations=[
            gxe.ExpectTableRowCountToBeBetween(
                min_value=params.min_classes, severity=BLOCKING, description=_description(findings, "label")
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="images",
                min_value=params.min_images_per_class,
                severity=BLOCKING,
                description=_description(findings, "images"),
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="train", min_value=1, severity=BLOCKING, description=_description(findings, "train")
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="val", min_value=1, severity=BLOCKING, description=_description(findings, "val")
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="test", min_value=1, severity=BLOCKING, description=_description(findings, "test")
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="times_smallest",
                max_value=params.max_class_ratio,
                severity=WARNING,
                description=_description(findings, "times_smallest"),
            ),
        ],
    )


def _description(findings: Mapping[str, str], column: str) -> str | None:
    # Great Expectations writes descriptions into its pages as they are, and names come from anywhere.
    return html.escape(findings[column]) if column in findings else None
