"""The list of all checks of a dataset, in the order in which their findings are reported."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from tasks.common.params import Validation
from tasks.validation.checks import class_names, classes, files, pictures, shortcuts, similarity
from tasks.validation.finding import Finding, Severity
from tasks.validation.frames import Frames


class Check(NamedTuple):
    """A check: its name in the params, the expectation in a sentence, the rows it judges, and the function.

    The function returns findings of the severity that it is given for what breaks the expectation; findings of a milder
    severity say something that leaves the verdict as it is.
    """

    name: str
    expectation: str
    scope: Literal["images", "classes", "dataset"]
    find: Callable[[Frames, Validation, Severity], list[Finding]]


CHECKS = (
    Check("images_per_class", "Every class has enough usable images.", "classes", classes.check_images_per_class),
    Check("classes", "There are enough classes.", "dataset", classes.check_class_count),
    Check("expected_classes", "The classes are those expected.", "dataset", classes.check_expected_classes),
    Check("usable", "Nearly all pictures can be used.", "images", files.check_usable),
    Check("splits", "Every class has training, validation and test images.", "classes", classes.check_splits),
    Check("split_shares", "Every class has the wanted share of each split.", "classes", classes.check_split_shares),
    Check("imbalance", "The classes are of similar size.", "classes", classes.check_imbalance),
    Check("class_names", "The names of classes differ clearly.", "classes", class_names.check_class_names),
    Check("duplicates", "No image is in two classes.", "images", files.check_duplicates),
    Check("near_duplicates", "No images of two classes look the same.", "images", similarity.check_near_duplicates),
    Check("leakage", "Given splits share no pictures and no groups.", "images", similarity.check_leakage),
    Check("shortcuts", "Classes do not differ in properties of their files.", "classes", shortcuts.check_shortcuts),
    Check("modes", "The pictures have the same kind of colours.", "images", pictures.check_modes),
    Check("sizes", "The pictures have similar sizes.", "images", pictures.check_sizes),
    Check("aspect_ratios", "No picture is very long and narrow.", "images", pictures.check_aspect_ratios),
    Check("blank", "No picture is of a single colour.", "images", pictures.check_blank),
    Check("dark", "No picture is nearly black.", "images", pictures.check_dark),
    Check("overexposed", "No picture is nearly white.", "images", pictures.check_overexposed),
    Check("blurred", "No picture is far less sharp than the others.", "images", pictures.check_blurred),
    Check("low_information", "No picture has few different values.", "images", pictures.check_low_information),
)


def active_checks(params: Validation) -> list[Check]:
    """Return the checks that are not `off`."""
    return [check for check in CHECKS if severity_of(check, params) is not None]


def severity_of(check: Check, params: Validation) -> Severity | None:
    """Return `blocking` or `warning`, as the params say; None for a check that is off."""
    level: Literal["blocking", "warning", "off"] = getattr(params.checks, check.name)
    return None if level == "off" else level


def run_checks(frames: Frames, params: Validation) -> list[Finding]:
    """Return the findings of the active checks: the blocking ones, then warnings, then notes, each in list order."""
    findings: list[Finding] = []
    for check in CHECKS:
        severity = severity_of(check, params)
        if severity is not None:
            findings += check.find(frames, params, severity)
    rank = {"blocking": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: rank[finding.severity])
