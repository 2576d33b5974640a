"""Checks of the files: how many pictures can be used, and the same bytes more than once."""

import pandas as pd

from tasks.common.errors import QuarantineKind
from tasks.common.params import Validation
from tasks.common.text import count
from tasks.validation.checks.phrases import examples, list_reasons, tally_suffixes, words
from tasks.validation.finding import Finding, Offender, Severity
from tasks.validation.frames import NOT_COUNTED, Frames


def check_usable(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find too large a share of pictures that cannot be used; a smaller one is a milder finding of the same check.

    Copies, other files and whatever was left out on purpose do not count; notes tell their numbers.
    """
    findings = _note_ignored(frames.set_aside)
    counted = ~frames.files["kind"].isin(NOT_COUNTED)
    unusable = frames.set_aside[~frames.set_aside["kind"].isin(NOT_COUNTED)]
    if unusable.empty:
        return findings
    # The product of the limit and the number is compared: 0.29 * 100 is not exactly 29.
    is_within = len(unusable) <= params.max_unusable_fraction * counted.sum() + 1e-9
    reasons = "; ".join(list_reasons(unusable))
    message = f"{len(unusable):,} of {count(int(counted.sum()), 'picture')} cannot be used"
    if is_within:
        milder: Severity = "warning" if severity == "blocking" else "note"
        finding = Finding("usable", milder, f"{message}: {reasons}", "Repair or replace them, or remove them.")
    else:
        message += f", the share may be at most {params.max_unusable_fraction:g}: {reasons}"
        advice = "Repair or remove these files, or raise validation.max_unusable_fraction."
        finding = Finding("usable", severity, message, advice)
    return [finding._replace(offenders=list_offenders(unusable, unusable["reason"])), *findings]


def check_duplicates(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find files of the same bytes in two classes; copies within a class are a note."""
    del params
    findings = []
    set_aside = frames.set_aside
    conflicts = set_aside[set_aside["kind"] == QuarantineKind.CONFLICTING_LABEL]
    if len(conflicts):
        first = conflicts.drop_duplicates("sha256")["sha256"]
        order = conflicts["sha256"].map({sha: rank for rank, sha in enumerate(first)})
        conflicts = conflicts.loc[order.sort_values(kind="stable").index]
        # The first two examples are a file of one class and one of another.
        both = conflicts[conflicts["sha256"] == first.iloc[0]].drop_duplicates("label")
        conflicts = pd.concat([both, conflicts.drop(index=both.index)])
        offenders = list_offenders(conflicts, conflicts["reason"])
        message = (
            f"{count(len(conflicts), 'file')} have the same content as a file of another class"
            f"{examples(offenders)}; all are set aside"
        )
        advice = "Keep each of them in the right class alone."
        findings.append(Finding("duplicates", severity, message, advice, offenders))
    copies = set_aside[set_aside["kind"] == QuarantineKind.COPY]
    if len(copies):
        offenders = list_offenders(copies, copies["reason"])
        noun = count(len(copies), "copy of another image is", "copies of other images are")
        advice = "Nothing needs to be done: one of each is used."
        findings.append(Finding("duplicates", "note", f"{noun} set aside{examples(offenders)}", advice, offenders))
    return findings


def list_offenders(files: pd.DataFrame, details: pd.Series) -> list[Offender]:
    """Return the files with their details, in the order of the files."""
    splits = files["split"].astype(object).where(files["split"].notna(), None)
    rows = zip(files["path"], files["label"], splits, details.loc[files.index], strict=True)
    return [Offender(*row) for row in rows]


def _note_ignored(set_aside: pd.DataFrame) -> list[Finding]:
    findings = []
    others = set_aside.loc[set_aside["kind"] == QuarantineKind.OTHER_FILE, "path"]
    if len(others):
        message = f"{count(len(others), 'other file')} ignored: {tally_suffixes(others)}"
        findings.append(Finding("usable", "note", message, "Nothing needs to be done: they are no pictures."))
    advice = {
        QuarantineKind.NOT_LISTED: "Add them to the table if they are meant to be used.",
        QuarantineKind.UNLABELLED: "Give them a class if they are meant to be used.",
        QuarantineKind.DROPPED: "Nothing needs to be done: the corrections drop them.",
        QuarantineKind.SPECIAL_FILE: "Nothing needs to be done: they are no pictures.",
    }
    for kind, text in advice.items():
        files = set_aside[set_aside["kind"] == kind]
        if len(files):
            offenders = list_offenders(files, files["reason"])
            message = f"{count(len(files), 'file')} left out ({words(kind)}){examples(offenders)}"
            findings.append(Finding("usable", "note", message, text, offenders))
    return findings
