"""From the manifest to a verdict, its report, and the images that may be used."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.common.errors import GateError
from tasks.common.files import atomic_file
from tasks.common.params import Dataset, Validation
from tasks.common.progress import say
from tasks.common.text import count
from tasks.images.sources import image_folder
from tasks.tables import accepted, manifest, quarantine
from tasks.tables.quarantine import Quarantined
from tasks.validation.changes import PREVIOUS, Changes, compare_images, keep_images, read_images, record_changes
from tasks.validation.checkpoint import Verdict, run_checkpoint
from tasks.validation.checks import active_checks, run_checks, severity_of
from tasks.validation.finding import Finding
from tasks.validation.frames import NOT_COUNTED, Frames, make_frames, summarise, to_frame
from tasks.validation.page import write_page
from tasks.validation.quarantine import judge_images
from tasks.validation.report import gate_message, print_findings
from tasks.validation.suite import make_frames_of_findings, make_suites


def validate_dataset(images: Path, manifest_file: Path, out: Path, params: Validation, dataset: Dataset) -> None:
    """Judge the manifest and write the outputs of the stage into the folder `out`.

    These are `accepted.parquet`, `quarantine.csv`, `results.json` (a row a check), `summary.json`, the page
    `report.html` with thumbnails from the folder `images`, and Data Docs in `docs`. `dataset` gives the wanted shares
    of the splits. Beside them lie the files of tasks/validation/changes.py.

    Raises:
        GateError: A blocking check fails; all outputs are written all the same.
    """
    images = image_folder(images)
    table = manifest.read(manifest_file)
    rows = to_frame(table)
    frames = make_frames(rows, judge_images(rows, params.min_side), dataset.val_fraction, dataset.test_fraction)
    set_aside = frames.set_aside[["path", "label", "kind", "reason"]]
    out.mkdir(parents=True, exist_ok=True)
    quarantine.write(out / "quarantine.csv", [Quarantined(*row) for row in set_aside.itertuples(index=False)])
    accepted.write(out / "accepted.parquet", table, frames.files["kind"].isna().to_numpy())

    findings = run_checks(frames, params)
    verdicts = run_checkpoint(
        make_frames_of_findings(frames, findings, params), make_suites(findings, params), out / "docs"
    )
    _write_results(out / "results.json", findings, verdicts, params)
    _write_summary(out / "summary.json", frames, findings)
    page = out / "report.html"
    write_page(page, images, findings, frames.classes, set_aside)
    changes = _compare_with_last_run(out, manifest_file)
    _print_outcome(frames, findings, changes)
    broken = [name for name, verdict in verdicts.items() if not verdict.success]
    if message := gate_message([finding for finding in findings if finding.check in broken], page):
        raise GateError(message)
    # A dataset that no run was trained on is nothing to compare the next one with.
    keep_images(out, out / "accepted.parquet")


def _write_results(
    path: Path, findings: Sequence[Finding], verdicts: Mapping[str, Verdict], params: Validation
) -> None:
    rows = []
    for check in active_checks(params):
        of_check = [finding for finding in findings if finding.check == check.name]
        verdict = verdicts[check.name]
        rows.append(
            {
                "check": check.name,
                "severity": severity_of(check, params),
                "success": verdict.success,
                "judged": check.scope,
                "broken": verdict.broken,
                "rows": verdict.rows,
                "expectation": check.expectation,
                "findings": [
                    {
                        "severity": finding.severity,
                        "message": finding.message,
                        "advice": finding.advice,
                        "files": len(finding.offenders),
                        "classes": list(finding.labels),
                    }
                    for finding in of_check
                ],
            }
        )
    _write_json(path, rows)


def _write_summary(path: Path, frames: Frames, findings: Sequence[Finding]) -> None:
    sentences = {
        key: [finding.message for finding in findings if finding.severity == severity]
        for key, severity in (("errors", "blocking"), ("warnings", "warning"), ("notes", "note"))
    }
    _write_json(path, summarise(frames.accepted) | sentences)


def _write_json(path: Path, content: object) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _compare_with_last_run(out: Path, manifest_file: Path) -> Changes:
    previous = read_images(out / PREVIOUS)
    current = read_images(out / "accepted.parquet")
    changes = Changes([], [])
    if previous is not None and current is not None:
        changes = compare_images(previous, current)
    record_changes(out, manifest_file, changes)
    return changes


def _print_outcome(frames: Frames, findings: Sequence[Finding], changes: Changes) -> None:
    if changes.lines:
        say(f"validation: since the last run: {', '.join(changes.lines)}")
    for warning in changes.warnings:
        say(f"validation: warning: {warning}")
    others = int(frames.set_aside["kind"].isin(NOT_COUNTED).sum())
    counts = f"{count(len(frames.accepted), 'image')} accepted, {len(frames.set_aside) - others:,} set aside"
    # The flow shows the last such line of a stage.
    say(f"validation: {counts}, {others:,} left out (quarantine.csv)")
    if findings:
        print_findings(findings)
