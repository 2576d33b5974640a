"""The findings for people: a table on the terminal, and the sentence that stops a run."""

from collections.abc import Sequence
from pathlib import Path

from tasks.common.progress import say
from tasks.common.text import count
from tasks.validation.finding import Finding

MAX_ROWS = 20


def print_findings(findings: Sequence[Finding]) -> None:
    """Print a line a finding on standard error, its severity and its sentence; after MAX_ROWS, the number of others."""
    for finding in findings[:MAX_ROWS]:
        say(f"  {finding.severity:<8}  {finding.message}")
    others = len(findings) - MAX_ROWS
    if others > 0:
        say(f"  {count(others, 'more finding')} in report.html")


def gate_message(findings: Sequence[Finding], page: Path) -> str | None:
    """Return one line with the blocking findings, the advice on them and where to see more; None if there are none."""
    blocking = [finding for finding in findings if finding.severity == "blocking"]
    if not blocking:
        return None
    messages = "; ".join(finding.message for finding in blocking)
    advice = " ".join(dict.fromkeys(finding.advice for finding in blocking))
    return f"the dataset is not fit to train on: {messages}. {advice} See {page}."
