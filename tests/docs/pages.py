"""The Markdown pages of the project, with their fenced blocks and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`((?:graft|make|dvc|python -m|pip) [^`]+)`(?!`)")
COMMENT = re.compile(r"(^|\s\s+)#\s.*$")
SEPARATORS = {"&&", "||", "|", ";"}
PLACEHOLDERS = re.compile(r"[A-Z][A-Z_]+\.{0,3}|\.\.\.")
"""Words that stand for something of the reader's own, such as `graft data add FOLDER`."""


class Fence(NamedTuple):
    """A fenced block; `line` is that of its first line of content."""

    page: str
    line: int
    language: str
    text: str


class Command(NamedTuple):
    """A command as it stands on a page; lines that a backslash continues are joined, comments left out."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        """Return where the command stands, and the command."""
        return f"{self.page}:{self.line}: {self.text}"


def find_pages() -> list[Path]:
    """Return the pages that were written by hand."""
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md", "tasks/store/README.md")]
    return pages + [page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "reference"]


def find_fences() -> list[Fence]:
    """Return the fenced blocks of all pages, in order."""
    fences = []
    for page in find_pages():
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start(3)) + 1
            fences.append(Fence(str(page.relative_to(ROOT)), line, match[2], match[3]))
    return fences


def find_commands() -> list[Command]:
    """Return the commands of the blocks marked as `bash`."""
    return [command for fence in find_fences() if fence.language == "bash" for command in _read_commands(fence)]


def find_inline_commands() -> list[Command]:
    """Return the commands that stand in the running text between backticks, those without placeholders."""
    commands = []
    for page in find_pages():
        text = FENCE.sub(lambda match: "\n" * match[0].count("\n"), page.read_text(encoding="utf-8"))
        for match in INLINE.finditer(text):
            if not any(PLACEHOLDERS.search(word) for word in match[1].split()):
                line = text.count("\n", 0, match.start()) + 1
                commands.append(Command(str(page.relative_to(ROOT)), line, " ".join(match[1].split())))
    return commands


def _read_commands(fence: Fence) -> Iterator[Command]:
    lines = iter(enumerate(fence.text.splitlines(), fence.line))
    for number, line in lines:
        text = COMMENT.sub("", line).strip()
        while text.endswith("\\"):
            text = text.removesuffix("\\") + COMMENT.sub("", next(lines)[1]).strip()
        if text:
            yield Command(fence.page, number, text)


def divide(text: str) -> list[list[str]]:
    """Return the words of each simple command of a line, without redirections."""
    parts: list[list[str]] = [[]]
    lexer = shlex.shlex(text, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    words = iter(lexer)
    for word in words:
        if word in SEPARATORS:
            parts.append([])
        elif word in {"<", ">"}:
            next(words)
        else:
            parts[-1].append(word)
    return parts
