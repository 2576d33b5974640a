"""Manifests of made-up images, and what the checks find in them."""

import hashlib
from typing import Any

import pyarrow as pa

from tasks.common.errors import QuarantineKind
from tasks.common.params import Params, Validation
from tasks.tables.manifest import SCHEMA, Row
from tasks.validation.checks import CHECKS, severity_of
from tasks.validation.finding import Finding, Severity
from tasks.validation.frames import Frames, make_frames, to_frame
from tasks.validation.quarantine import judge_images

SPLITS = ("train", "train", "train", "train", "val", "test")


def image(path: str, **columns: Any) -> Row:
    """Return the row of a good picture in colour, whose content differs from that of any other path."""
    digest = hashlib.sha256(path.encode()).hexdigest()
    number = int(digest[:15], 16)
    row = Row(path, path.split("/", maxsplit=1)[0], "train", sha256=digest, phash=number, group=number, format="JPEG")
    row = row._replace(width=640, height=480, bytes=5, mode="RGB", is_grey=False)
    row = row._replace(brightness=0.5, shadows=0.1, highlights=0.9, contrast=0.2, entropy=7.0, sharpness=0.1)
    return row._replace(**columns)


def images(label: str, count: int, suffix: str = ".jpg", **columns: Any) -> list[Row]:
    """Return the rows of good pictures of a class, of which a sixth each validate and test."""
    return [image(f"{label}/{n}{suffix}", **({"split": SPLITS[n % 6]} | columns)) for n in range(count)]


def unusable(path: str, kind: QuarantineKind, reason: str) -> Row:
    """Return the row of a file that the scan set aside."""
    return Row(path, path.split("/", maxsplit=1)[0] if "/" in path else "", kind=kind, reason=reason)


def to_table(rows: list[Row]) -> pa.Table:
    """Return the manifest of the rows."""
    return pa.Table.from_pylist([row._asdict() for row in rows], schema=SCHEMA)


def frame_rows(rows: list[Row], settings: Params) -> Frames:
    """Return the frames that validation makes of the rows, in the order of the paths."""
    manifest = to_frame(to_table(sorted(rows)))
    verdicts = judge_images(manifest, settings.validation.min_side)
    return make_frames(manifest, verdicts, settings.dataset.val_fraction, settings.dataset.test_fraction)


def find(check_name: str, rows: list[Row], settings: Params, **changed: Any) -> list[Finding]:
    """Return the findings of one check, with some keys of the section `validation` changed."""
    params: Validation = settings.validation.model_copy(update=changed)
    [check] = [check for check in CHECKS if check.name == check_name]
    severity = severity_of(check, params)
    assert severity is not None
    return check.find(frame_rows(rows, settings), params, severity)


def sentences(findings: list[Finding]) -> list[tuple[Severity, str]]:
    """Return severity and message of each finding."""
    return [(finding.severity, finding.message) for finding in findings]


def paths(finding: Finding) -> list[str]:
    """Return the paths of the files of a finding."""
    return [offender.path for offender in finding.offenders]
