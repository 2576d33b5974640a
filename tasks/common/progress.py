"""Progress of long work on standard error: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Any, TypeVar

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 2.0


def _one_unit(_item: Any) -> int:
    return 1


def track(
    items: Iterable[Item], total: int, title: str, unit: str = "images", size: Callable[[Item], int] = _one_unit
) -> Iterator[Item]:
    """Yield the items unchanged and show the progress of the consumer.

    `title` opens each line. An item counts as `size(item)` units, and `total` is the number of units in all.
    """
    # An app that only predicts may have no rich.
    if sys.stderr.isatty() and find_spec("rich") is not None:
        from tasks.common.progress_bar import track_in_bar

        yield from track_in_bar(items, total, title, unit, size)
    else:
        yield from _track_in_lines(items, total, title, unit, size)


def say(text: str) -> None:
    """Write a line to standard error and flush it."""
    print(text, file=sys.stderr, flush=True)


def _track_in_lines(
    items: Iterable[Item], total: int, title: str, unit: str, size: Callable[[Item], int]
) -> Iterator[Item]:
    start = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += size(item)
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            rate = done / (now - start)
            say(f"{title}: {done:,}/{total:,} {unit}, {rate:,.0f}/s, {(total - done) / rate:,.0f} s left")
            last = now
    say(f"{title}: {done:,}/{total:,} {unit} in {time.monotonic() - start:,.1f} s")
