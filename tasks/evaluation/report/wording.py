"""Pieces of sentences about classes."""

from collections.abc import Mapping, Sequence

from tasks.common.text import count, join, printable

MAX_NAMES = 3


def name_classes(names: Sequence[str]) -> str:
    """Return the first names in quotes and the number of the others: `'a', 'b', 'c' and 2 more classes`."""
    shown = [f"'{printable(name)}'" for name in names[:MAX_NAMES]]
    if len(names) > MAX_NAMES:
        shown.append(count(len(names) - MAX_NAMES, "more class", "more classes"))
    return join(shown)


def state_small(numbers: Mapping[str, int], bound: int) -> tuple[str, str] | None:
    """Return who has fewer than `bound` and how many: `('a' and 'b' have, 1 to 4)`; None if no class has."""
    few = sorted((name for name in numbers if numbers[name] < bound), key=lambda name: (numbers[name], name))
    if not few:
        return None
    verb = "has" if len(few) == 1 else "have"
    return f"{name_classes(few)} {verb}", span(numbers[few[0]], numbers[few[-1]])


def span(low: int, high: int) -> str:
    """Return `2 to 4`, or `2` if both are the same."""
    return f"{low}" if low == high else f"{low} to {high}"
