"""Attributes of images: the cells of a table in columns other than those of path, label, split and group."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tasks.common.progress import say
from tasks.common.text import join, printable

# Limits for the memory and the manifest: a column of long texts, such as captions, divides no images into kinds.
MAX_COLUMNS = 32
MAX_CHARACTERS = 100
MAX_NAMES = 5


class Attributes:
    """The columns of attributes of a table; the first MAX_COLUMNS are used.

    Columns without a name are not used, nor are those of the same name, nor those that hold lists and the like.
    """

    def __init__(self, file: Path, header: Sequence[str], taken: Sequence[int | None], usable: Sequence[bool]) -> None:
        """Choose columns of the table `file`, beside those at the positions `taken`; `usable` says which hold text."""
        self._file = file
        occurrences = Counter(header)
        others = [position for position, name in enumerate(header) if name and position not in taken]
        single = [position for position in others if occurrences[header[position]] == 1]
        simple = [position for position in single if usable[position]]
        self.positions = simple[:MAX_COLUMNS]
        self._names = [_cut(header[position]) for position in self.positions]
        self._cut_names: set[str] = set()
        self._notes = [
            (
                list(dict.fromkeys(header[position] for position in others if position not in single)),
                "the same name twice",
            ),
            ([header[position] for position in single if position not in simple], "neither text nor numbers"),
            ([header[position] for position in simple[MAX_COLUMNS:]], f"after the first {MAX_COLUMNS}"),
        ]

    def read(self, cells: Sequence[str]) -> dict[str, str] | None:
        """Return the cells at `positions` by the names of their columns, without empty ones; None if all are empty."""
        pairs = {name: cell.strip() for name, cell in zip(self._names, cells, strict=True)}
        self._cut_names.update(name for name, cell in pairs.items() if len(cell) > MAX_CHARACTERS)
        return {name: _cut(cell) for name, cell in pairs.items() if cell} or None

    def report(self) -> None:
        """Say which columns are not used, and in which of them long cells were cut."""
        file = printable(str(self._file))
        for names, reason in self._notes:
            if names:
                say(f"dataset: warning: {file}: the report leaves out {_enumerate(names)} ({reason})")
        if self._cut_names:
            columns = _enumerate([name for name in self._names if name in self._cut_names])
            say(f"dataset: warning: {file}: cells of more than {MAX_CHARACTERS} characters in {columns} were cut")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"


def _enumerate(names: Sequence[str]) -> str:
    """Return `column 'a'`, or `columns 'a', 'b' and 4 more`."""
    shown = [f"'{printable(_cut(name))}'" for name in names[:MAX_NAMES]]
    others = len(names) - MAX_NAMES
    noun = "column" if len(names) == 1 else "columns"
    return f"{noun} {join(shown + ([f'{others:,} more'] if others > 0 else []))}"
