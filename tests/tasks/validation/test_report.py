from pathlib import Path

import pytest

from tasks.validation.finding import Finding
from tasks.validation.report import gate_message, print_findings

SMALL = Finding("images_per_class", "blocking", "class 'a' has 2 usable images, needs 6", "Add images.")
OTHER = Finding("images_per_class", "blocking", "class 'b' has 3 usable images, needs 6", "Add images.")
DARK = Finding("dark", "warning", "1 of 9 pictures is dark: a/1.jpg", "Check it.")


def test_the_gate_says_every_blocking_finding_in_one_line_and_each_advice_once() -> None:
    assert gate_message([SMALL, DARK, OTHER], Path("report.html")) == (
        "the dataset is not fit to train on: class 'a' has 2 usable images, needs 6; class 'b' has 3 usable images, "
        "needs 6. Add images. See report.html."
    )


def test_warnings_do_not_close_the_gate() -> None:
    assert gate_message([DARK], Path("report.html")) is None


def test_findings_are_printed_a_line_each_and_the_last_of_many_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings([SMALL, *[DARK] * 21])
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [f"  blocking  {SMALL.message}", f"  warning   {DARK.message}"]
    assert lines[20:] == ["  2 more findings in report.html"]
