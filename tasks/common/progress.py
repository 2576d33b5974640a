"""How far a long piece of work has come: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 2.0


def track(items: Iterable[Item], total: int, label: str, unit: str = "images") -> Iterator[Item]:
    """Yield `items` on, showing how many of `total` have passed on standard error."""
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            yield from progress.track(items, total=total, description=label)
    else:
        yield from _track_in_lines(items, total, label, unit)


def say(text: str) -> None:
    """Write one line of plain progress to standard error at once."""
    print(text, file=sys.stderr, flush=True)


def _track_in_lines(items: Iterable[Item], total: int, label: str, unit: str) -> Iterator[Item]:
    start = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            rate = done / (now - start)
            say(f"{label}: {done:,}/{total:,} {unit}, {rate:,.0f}/s, {(total - done) / rate:,.0f} s left")
            last = now
    say(f"{label}: {done:,}/{total:,} {unit} in {time.monotonic() - start:,.1f} s")
