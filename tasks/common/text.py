"""Text for people: names from data made safe to print, counts with their nouns, enumerations."""

from collections.abc import Sequence


def readable(text: str) -> str:
    """Return the text with escapes in the place of bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    """Return the text on one line: bytes that are not UTF-8 and control characters become escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in readable(text))


def count(number: int, singular: str, plural: str | None = None) -> str:
    """Return the number with its noun: `1 image`, `2,000 images`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def join(phrases: Sequence[str], conjunction: str = "and") -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return f" {conjunction} ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)
