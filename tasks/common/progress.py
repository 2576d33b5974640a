"""How far a long piece of work has come: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 2.0


class RateColumn(ProgressColumn):
    """How many pass in a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing before there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


def _one(_item: Any) -> int:
    return 1


def track(
    items: Iterable[Item], total: int, label: str, unit: str = "images", size: Callable[[Item], int] = _one
) -> Iterator[Item]:
    """Yield `items` on, showing how many of `total` have passed on standard error; an item counts for its `size`."""
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(label, total=total)
            for item in items:
                yield item
                progress.advance(task, size(item))
    else:
        yield from _track_in_lines(items, total, label, unit, size)


def say(text: str) -> None:
    """Write one line of plain progress to standard error at once."""
    print(text, file=sys.stderr, flush=True)


def _track_in_lines(
    items: Iterable[Item], total: int, label: str, unit: str, size: Callable[[Item], int]
) -> Iterator[Item]:
    start = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += size(item)
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            rate = done / (now - start)
            say(f"{label}: {done:,}/{total:,} {unit}, {rate:,.0f}/s, {(total - done) / rate:,.0f} s left")
            last = now
    say(f"{label}: {done:,}/{total:,} {unit} in {time.monotonic() - start:,.1f} s")
