"""The expectations that do not hold, for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.validation.checkpoint import Result

WIDTH = 140


def print_failures(failures: Sequence[Result]) -> None:
    """Print a row an expectation on standard error: what it says, its severity, and what was found in a sentence."""
    table = Table("expectation", "severity", "found", title="Expectations that do not hold")
    for failure in failures:
        table.add_row(*(Text(cell) for cell in (failure.expectation, failure.severity, failure.message)))
    Console(stderr=True, width=WIDTH).print(table)
