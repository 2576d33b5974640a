"""Names from data, made safe to print."""


def readable(text: str) -> str:
    """Return the text with escapes in the place of bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    """Return the text on one line: bytes that are not UTF-8 and control characters become escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in readable(text))
