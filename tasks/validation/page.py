"""`report.html`: the verdict on a dataset for people, with pictures of the files that the findings are about."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from tasks.common.errors import QuarantineKind
from tasks.pages import rendering
from tasks.pages.album import Album, Item, Listing
from tasks.validation.checks.phrases import MAX_SENTENCES, words
from tasks.validation.finding import Finding, Severity
from tasks.validation.frames import NOT_COUNTED, SPLITS

TEMPLATE = Path(__file__).parent / "templates" / "report.html"
SEVERITIES: list[Severity] = ["blocking", "warning", "note"]
# The page stays near 2 MB, so that it opens at once and can be sent by mail.
PICTURE_BYTES = 1_100_000
LINE_BYTES = 350_000
SIDE = 144
MAX_PICTURES = 24
MIN_PICTURES = 4
MAX_PICTURES_OF_PAGE = 240
MAX_PANELS = 60
MAX_STEPS = 8
VISIBLE_CLASSES = 50
MAX_CLASSES = 300
MAX_SUFFIXES = 25
# The scan has decoded these. It refused the others, or never opened them, and so does the page.
DECODED = {
    QuarantineKind.TOO_SMALL,
    QuarantineKind.CONFLICTING_LABEL,
    QuarantineKind.CONFLICTING_SPLIT,
    QuarantineKind.COPY,
    QuarantineKind.DROPPED,
}


class Panel(NamedTuple):
    """A finding, numbered within the page, with its files, and with its classes where the message leaves some out."""

    number: int
    finding: Finding
    files: Listing
    labels: Listing


class Step(NamedTuple):
    """An advice, and the checks that give it, each with the number of its first panel."""

    advice: str
    checks: list[tuple[str, int]]


class Kind(NamedTuple):
    """The files that were set aside or left out for one kind of reason; `path` and `reason` are those of the first."""

    words: str
    number: int
    path: str
    reason: str
    files: Listing


class Suffix(NamedTuple):
    """The other files of one suffix, and the path of the first."""

    suffix: str
    number: int
    path: str


def write_page(
    file: Path, images: Path, findings: Sequence[Finding], counts: pd.DataFrame, set_aside: pd.DataFrame
) -> None:
    """Write the page: verdict, what to do, findings by severity, classes, files set aside or left out.

    `images` is the images' folder, for the thumbnails. `counts` has a row a class with the columns label, train, val,
    test and images. `set_aside` has the columns path, label, kind and reason. The same arguments and files give the
    same bytes, about 2 MB at most.
    """
    is_other = set_aside["kind"] == QuarantineKind.OTHER_FILE
    left_out = set_aside["kind"].isin(NOT_COUNTED)
    findings = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    counts = counts.sort_values(["images", "label"], kind="stable")
    album = Album(images, PICTURE_BYTES, LINE_BYTES, SIDE)
    panels = _panels(findings, album, _undecoded(set_aside))
    text = rendering.render(
        TEMPLATE,
        panels=panels,
        steps=_steps(panels),
        further=album.arrange([Item(finding.message) for finding in findings[MAX_PANELS:]], 0),
        findings=findings,
        severities=Counter(finding.severity for finding in findings),
        totals={name: int(counts[name].sum()) for name in ("images", *SPLITS)},
        classes=len(counts),
        rows=counts.head(MAX_CLASSES).to_dict("records"),
        visible_classes=VISIBLE_CLASSES,
        largest=max([1, *counts["images"]]),
        set_aside=int((~left_out).sum()),
        kinds_set_aside=_kinds(set_aside[~left_out], album),
        left_out=int(left_out.sum()),
        kinds_left_out=_kinds(set_aside[left_out & ~is_other], album),
        others=int(is_other.sum()),
        suffixes=_suffixes(set_aside.loc[is_other, "path"]),
        max_suffixes=MAX_SUFFIXES,
    )
    rendering.write_page(file, text)


def _panels(findings: Sequence[Finding], album: Album, undecoded: set[str]) -> list[Panel]:
    pictures = max(MIN_PICTURES, min(MAX_PICTURES, MAX_PICTURES_OF_PAGE // max(1, len(findings))))
    panels = []
    for number, finding in enumerate(findings[:MAX_PANELS], start=1):
        items = [Item(*offender, drawable=offender.path not in undecoded) for offender in finding.offenders]
        labels = [Item(label) for label in finding.labels] if len(finding.labels) > MAX_SENTENCES else []
        panels.append(Panel(number, finding, album.arrange(items, pictures), album.arrange(labels, 0)))
    return panels


def _steps(panels: Sequence[Panel]) -> list[Step]:
    """Return what the findings of the highest severity advise, unless they are notes; equal advice is one step."""
    numbers: dict[str, dict[str, int]] = {}
    for number, finding, *_ in panels:
        if finding.severity == panels[0].finding.severity != "note":
            numbers.setdefault(finding.advice, {}).setdefault(finding.check, number)
    return [Step(advice, list(checks.items())) for advice, checks in numbers.items()][:MAX_STEPS]


def _undecoded(set_aside: pd.DataFrame) -> set[str]:
    return set(set_aside.loc[~set_aside["kind"].isin(DECODED), "path"])


def _kinds(set_aside: pd.DataFrame, album: Album) -> list[Kind]:
    counts = set_aside["kind"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    kinds = []
    for kind in counts.index:
        rows = set_aside.loc[set_aside["kind"] == kind, ["path", "label", "reason"]]
        first = rows.iloc[0]
        items = [
            Item(path, label, None, reason, kind in DECODED) for path, label, reason in rows.itertuples(index=False)
        ]
        files = album.arrange(items, MAX_PICTURES // 2)
        kinds.append(Kind(words(kind), len(items), first["path"], first["reason"], files))
    return kinds


def _suffixes(paths: Iterable[str]) -> list[Suffix]:
    numbers: Counter[str] = Counter()
    first: dict[str, str] = {}
    for path in paths:
        suffix = PurePosixPath(path).suffix.lower()
        numbers[suffix] += 1
        first.setdefault(suffix, path)
    return [
        Suffix(suffix, number, first[suffix])
        for suffix, number in sorted(numbers.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
