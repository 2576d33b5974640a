"""The class names in files beside the model, for runtimes that cannot read its metadata."""

import json
from collections.abc import Sequence
from pathlib import Path


def write_class_files(folder: Path, classes: Sequence[str]) -> None:
    """Write `classes.json`, the names as a list, and `labels.txt`, a line a class, both in the order of the outputs."""
    text = json.dumps(list(classes), indent=1, ensure_ascii=False)
    (folder / "classes.json").write_text(text + "\n", encoding="utf-8")
    (folder / "labels.txt").write_text("".join(f"{escape_line(name)}\n" for name in classes), encoding="utf-8")


def escape_line(name: str) -> str:
    r"""Return the name on one line, written as in a text literal of Python.

    A backslash becomes `\\`, and a character that is not printable `\n`, `\t`, `\r`, `\x..`, `\u....` or `\U........`.
    """
    return "".join(
        char.encode("unicode_escape").decode() if char == "\\" or not char.isprintable() else char for char in name
    )
