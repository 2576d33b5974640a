"""Files on a page: the first ones as pictures, more of them as lines, the rest as a number."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from markupsafe import escape

from tasks.pages.rendering import clip
from tasks.pages.thumbnails import SIDE, thumbnails

MAX_LINES = 200
MAX_LINE = 300
# Bytes of markup around a picture and around a line.
PICTURE_MARKUP = 250
LINE_MARKUP = 25


class Item(NamedTuple):
    """A file: its path below the images' folder, and texts about it that may be empty; `drawable` allows a picture."""

    path: str
    label: str = ""
    split: str | None = None
    detail: str = ""
    drawable: bool = True


class Picture(NamedTuple):
    """An item with its thumbnail, as the component `grid` shows it."""

    source: str
    path: str
    label: str
    split: str | None
    detail: str


class Listing(NamedTuple):
    """Items in the three forms: pictures, lines of text, and the number of those that are not listed."""

    pictures: list[Picture]
    lines: list[str]
    more: int


class Album:
    """The pictures and lines of a page, which together take a limited number of bytes, whatever the dataset."""

    def __init__(self, root: Path, picture_bytes: int, line_bytes: int, side: int = SIDE) -> None:
        """Take the images below `root`; the longer side of a picture has `side` pixels."""
        self._root = root
        self._picture_bytes = picture_bytes
        self._line_bytes = line_bytes
        self._side = side
        self._sources: dict[str, str | None] = {}

    def arrange(self, items: Sequence[Item], pictures: int) -> Listing:
        """Return at most `pictures` items as pictures, in their order, and at most MAX_LINES of the others as lines.

        An item whose file cannot be decoded is a line.
        """
        chosen = list(islice((index for index, item in enumerate(items) if item.drawable), pictures))
        self._draw([items[index].path for index in chosen])
        drawn = {}
        for index in chosen:
            source = self._sources[items[index].path]
            if source is not None and self._has_space_for(source, items[index]):
                drawn[index] = Picture(source, *items[index][:4])
        lines: list[str] = []
        rest = (item for index, item in enumerate(items) if index not in drawn)
        for item in rest:
            line = clip(" · ".join(text for text in item[:4] if text), MAX_LINE)
            cost = _count_bytes(line) + LINE_MARKUP
            if len(lines) == MAX_LINES or cost > self._line_bytes:
                break
            self._line_bytes -= cost
            lines.append(line)
        return Listing(list(drawn.values()), lines, len(items) - len(drawn) - len(lines))

    def _draw(self, paths: list[str]) -> None:
        if self._picture_bytes > 0:
            new = [path for path in dict.fromkeys(paths) if path not in self._sources]
            self._sources |= zip(new, thumbnails(self._root, new, self._side), strict=True)
        else:
            self._sources |= dict.fromkeys(paths)

    def _has_space_for(self, source: str, item: Item) -> bool:
        cost = len(source) + PICTURE_MARKUP + sum(_count_bytes(clip(text)) for text in item[:4] if text)
        if cost > self._picture_bytes:
            self._picture_bytes = 0
            return False
        self._picture_bytes -= cost
        return True


def _count_bytes(text: str) -> int:
    return len(escape(text).encode())
