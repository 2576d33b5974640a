"""The expectations about a dataset, as Great Expectations suites."""

import great_expectations.expectations as gxe
from great_expectations import ExpectationSuite

from tasks.common.params import Validation

BLOCKING = "critical"
WARNING = "warning"


def image_suite(params: Validation) -> ExpectationSuite:
    """Return the suite over the manifest, one row a file; the column `set_aside` is null for usable images."""
    return ExpectationSuite(
        name="images",
        expectations=[
            gxe.ExpectColumnValuesToBeNull(
                column="set_aside", mostly=1 - params.max_unusable_fraction, severity=BLOCKING
            ),
            gxe.ExpectColumnValuesToBeUnique(column="path", severity=BLOCKING),
            gxe.ExpectColumnValuesToBeInSet(column="split", value_set=["train", "val", "test"], severity=BLOCKING),
            gxe.ExpectColumnValuesToBeUnique(column="sha256", severity=WARNING),
        ],
    )


def class_suite(params: Validation) -> ExpectationSuite:
    """Return the suite over the classes, one row a class with its counts of usable images."""
    return ExpectationSuite(
        name="classes",
        expectations=[
            gxe.ExpectTableRowCountToBeBetween(min_value=params.min_classes, severity=BLOCKING),
            gxe.ExpectColumnValuesToBeBetween(
                column="images", min_value=params.min_images_per_class, severity=BLOCKING
            ),
            gxe.ExpectColumnValuesToBeBetween(column="train", min_value=1, severity=BLOCKING),
            gxe.ExpectColumnValuesToBeBetween(column="val", min_value=1, severity=BLOCKING),
            gxe.ExpectColumnValuesToBeBetween(column="test", min_value=1, severity=BLOCKING),
            gxe.ExpectColumnValuesToBeBetween(
                column="times_smallest", max_value=params.max_class_ratio, severity=WARNING
            ),
        ],
    )
