"""The check of class names that are easily taken for each other."""

import unicodedata
from collections.abc import Callable
from itertools import combinations

from tasks.common.params import Validation
from tasks.common.text import printable
from tasks.validation.checks.classes import list_findings
from tasks.validation.finding import Finding, Severity
from tasks.validation.frames import Frames


def check_class_names(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find classes whose names differ only in case, spaces or Unicode form."""
    del params
    alike: dict[str, list[str]] = {}
    for label in frames.classes["label"]:
        alike.setdefault(_fold(label), []).append(label)
    sentences = []
    for labels in alike.values():
        for first, second in combinations(labels, 2):
            difference, show = _compare(first, second)
            sentences.append((f"classes '{show(first)}' and '{show(second)}' differ only in {difference}", second))
    advice = "If they are one class, give both folders the same name, or merge them."
    return list_findings("class_names", severity, sentences, advice)


def _fold(label: str) -> str:
    return _one_form(_one_form(label).casefold()).strip()


def _one_form(label: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", label).split())


def _compare(first: str, second: str) -> tuple[str, Callable[[str], str]]:
    """Return in words how two similar names differ, and a function that shows each so that it can be seen."""

    def is_same(change: Callable[[str], str]) -> bool:
        return change(first) == change(second)

    if is_same(str.casefold):
        return "case", printable
    if is_same(lambda label: " ".join(label.split())):
        return "spaces", printable
    if is_same(lambda label: unicodedata.normalize("NFKC", label)):
        return "their Unicode form", lambda label: label.encode("unicode_escape").decode()
    if is_same(lambda label: " ".join(label.split()).casefold()):
        return "case and spaces", printable
    return "case, spaces or Unicode form", lambda label: label.encode("unicode_escape").decode()
