"""The checks as Great Expectations suites: an expectation for each, over a column that holds its findings."""

import html
import os
from collections.abc import Sequence

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations.expectations as gxe
import pandas as pd
from great_expectations import ExpectationSuite

from tasks.common.params import Validation
from tasks.validation.checks import Check, active_checks, severity_of
from tasks.validation.finding import Finding
from tasks.validation.frames import Frames

SEVERITIES = {"blocking": "critical", "warning": "warning"}


class ExpectNoFindings(gxe.ExpectColumnValuesToBeNull):  # type: ignore[misc]
    """Expect a check to have no findings.

    The column has the name of the check, and a row for each image, class or dataset that the check judges. It is null
    where the check finds nothing, and says what the check found elsewhere. Findings that are milder than the check
    itself leave the column null.
    """

    description: str = "Expect a check to have no findings."


def make_frames_of_findings(frames: Frames, findings: Sequence[Finding], params: Validation) -> dict[str, pd.DataFrame]:
    """Return the frames `images`, `classes` and `dataset`, with a column for each check that judges their rows.

    Texts are escaped: Great Expectations writes values into its pages as they are, and names come from anywhere.
    """
    paths = frames.files["path"].astype(object)
    labels = frames.classes["label"].astype(object)
    results = {
        "images": pd.DataFrame({"path": paths.map(html.escape)}),
        "classes": pd.DataFrame({"label": labels.map(html.escape)}),
        "dataset": pd.DataFrame({"images": [len(frames.accepted)]}),
    }
    for check in active_checks(params):
        failures = [
            finding
            for finding in findings
            if finding.check == check.name and finding.severity == severity_of(check, params)
        ]
        if check.scope == "images":
            texts = {offender.path: offender.detail for finding in failures for offender in finding.offenders}
            column = [texts.get(path) for path in paths]
        elif check.scope == "classes":
            texts = {label: finding.message for finding in failures for label in finding.labels}
            column = [texts.get(label) for label in labels]
        else:
            column = ["; ".join(finding.message for finding in failures) or None]
        escaped = [text and html.escape(text) for text in column]
        results[check.scope][check.name] = pd.Series(escaped, dtype=object, index=results[check.scope].index)
    return results


def make_suites(findings: Sequence[Finding], params: Validation) -> dict[str, ExpectationSuite]:
    """Return a suite for each frame that a check judges; each expectation is described with its findings."""
    checks: dict[str, list[Check]] = {}
    for check in active_checks(params):
        checks.setdefault(check.scope, []).append(check)
    return {
        scope: ExpectationSuite(
            name=scope, expectations=[_make_expectation(check, findings, params) for check in members]
        )
        for scope, members in checks.items()
    }


def _make_expectation(check: Check, findings: Sequence[Finding], params: Validation) -> ExpectNoFindings:
    severity = severity_of(check, params)
    messages = [finding.message for finding in findings if (finding.check, finding.severity) == (check.name, severity)]
    return ExpectNoFindings(
        column=check.name,
        severity=SEVERITIES[str(severity)],
        description=html.escape("; ".join([check.expectation.removesuffix("."), *messages])),
    )
