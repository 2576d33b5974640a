"""The files of a dataset whose classes stand in a table."""

import os
import posixpath
import re
from pathlib import Path
from stat import S_ISDIR
from unicodedata import normalize

from tasks.common.endings import TABLES
from tasks.common.errors import GraftError, QuarantineKind, did_you_mean
from tasks.common.params import Columns
from tasks.common.text import printable, readable
from tasks.dataset.listing.folder import Entry
from tasks.dataset.listing.names import SPLIT_NAMES, split_of
from tasks.dataset.listing.table_file import Line, read_lines
from tasks.dataset.listing.tree import Item, describe_special_file, may_read, walk

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
WINDOWS_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
MAX_TABLES = 3


def list_table(root: Path, table: str, columns: Columns) -> list[Entry]:
    """List the images of the table `table`, a path below `root`, and the other visible files there, sorted by path.

    Paths in the table are relative to its folder. A file that cannot be used has a kind and a reason; nothing outside
    `root` is opened. The attributes of an image that is listed twice are those of its first line.

    Raises:
        GraftError: The table cannot be used, gives an image two labels, splits or groups, has another split than train,
            val or test, lists no file that exists, or has a single class.
    """
    files = _Files(root)
    path = _find_table(files, table)
    file = printable(str(root / path))
    lines: dict[str, Line] = {}
    entries: dict[str, Entry] = {}
    for line in read_lines(root / path, columns):
        entry = _describe(files, path, file, line)
        earlier = entries.setdefault(entry.path, entry)
        first = lines.setdefault(entry.path, line)
        if (earlier.label, earlier.split, earlier.group) != (entry.label, entry.split, entry.group):
            difference = _describe_difference(earlier, first, entry, line)
            message = f"{file}: '{printable(entry.path)}' has the {difference}. Expected one; correct the table."
            raise GraftError(message)
    _check_use(file, list(entries.values()), next(iter(lines.values()), None))
    others = [
        Entry(readable(item.path), "", QuarantineKind.NOT_LISTED, f"not listed in {printable(path)}")
        for item in files.items.values()
        if item.path not in entries and item.path != path
    ]
    return sorted([*entries.values(), *others], key=lambda entry: entry.path)


class _Files:
    """The files below the root, found by the paths that people and programs write into tables."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.items = {item.path: item for item in walk(str(root)).items}
        self._real_root = os.path.realpath(root)
        # macOS takes accented letters in names apart, tables have them whole.
        self._by_form = {normalize("NFC", path): item for path, item in self.items.items() if not path.isascii()}

    def find(self, folder: str, text: str) -> Item:
        """Return the file of a path relative to `folder`; one that cannot be used has a kind and a reason.

        Backslashes separate folders where no file has such a name.
        """
        item = self._find(folder, text)
        if item.kind == QuarantineKind.MISSING and "\\" in text:
            other = self._find(folder, text.replace("\\", "/"))
            return item if other.kind == QuarantineKind.MISSING else other
        return item

    def _find(self, folder: str, text: str) -> Item:
        path = posixpath.normpath(posixpath.join(folder, text))
        if ADDRESS.match(text):
            reason = "an address; download the image and list its path"
        elif path.startswith("/") or WINDOWS_DRIVE.match(text):
            reason = "an absolute path; expected one relative to the folder of the table"
        elif path == ".." or path.startswith("../"):
            reason = "leads out of the dataset's folder"
        elif "\0" in text:
            reason = "has a zero byte in its name"
        else:
            return self.items.get(path) or self._by_form.get(normalize("NFC", path)) or self._inspect(path)
        return Item(text, QuarantineKind.BAD_NAME, reason)

    def _inspect(self, path: str) -> Item:
        """Look at a path that is no visible file: nothing, a folder, a hidden file, or one behind a link."""
        file = self.root / path
        target = os.path.realpath(file)
        if target != self._real_root and not may_read(target, self._real_root):
            return Item(path, QuarantineKind.LINK, "a symbolic link in the path leads out of the dataset's folder")
        try:
            mode = Path(target).stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return Item(path, QuarantineKind.MISSING, "does not exist")
        except OSError as error:
            return Item(path, QuarantineKind.UNREADABLE, f"cannot be read: {error.strerror}")
        if S_ISDIR(mode):
            return Item(path, QuarantineKind.UNREADABLE, "a folder, not a file")
        if special := describe_special_file(mode):
            return Item(path, QuarantineKind.SPECIAL_FILE, f"{special}, not a file with content")
        return Item(path)


def _find_table(files: _Files, table: str) -> str:
    """Return the path of the table below the root; raises GraftError if it cannot be used."""
    item = files.find("", table)
    if item.kind is None:
        return item.path
    tables = sorted(path for path in files.items if path.lower().endswith(TABLES))
    hint = did_you_mean(table, map(printable, tables))
    if tables and not hint:
        hint = f" Tables there: {', '.join(map(printable, tables[:MAX_TABLES]))}."
    message = (
        f"The table '{printable(table)}': {item.reason}. Expected a file below {printable(str(files.root))}; "
        f"set dataset.table in params.yaml.{hint}"
    )
    raise GraftError(message)


def _describe(files: _Files, table: str, file: str, line: Line) -> Entry:
    split = split_of(line.split.strip())
    if not line.path.strip():
        message = f"{file}, {line.location}: path is empty; expected that of an image."
        raise GraftError(message)
    if line.split.strip() and split is None:
        hint = did_you_mean(line.split.strip(), SPLIT_NAMES)
        message = (
            f"{file}, {line.location}: split is '{printable(line.split)}'; "
            f"expected {', '.join(SPLIT_NAMES)} or an empty cell.{hint}"
        )
        raise GraftError(message)
    item = files.find(posixpath.dirname(table), line.path)
    kind, reason = item.kind, item.reason
    if kind is None and not line.label.strip():
        kind, reason = QuarantineKind.UNLABELLED, "has no label"
    if kind is not None:
        reason = f"{reason} ({line.location} of {printable(table)})"
    return Entry(item.path, line.label, kind, reason, split, line.group.strip() or None, line.attributes)


def _describe_difference(earlier: Entry, first: Line, later: Entry, second: Line) -> str:
    """Return how two lines about one image differ: `label 'cat' in line 2 and 'dog' in line 9`."""
    column = next(name for name in ("label", "split", "group") if getattr(earlier, name) != getattr(later, name))
    before, after = printable(getattr(first, column)), printable(getattr(second, column))
    return f"{column} '{before}' in {first.location} and '{after}' in {second.location}"


def _check_use(file: str, entries: list[Entry], first: Line | None) -> None:
    """Raise a GraftError if the table lists nothing that can be trained on."""
    if first is None:
        message = f"{file} lists no images. Expected a line for each image, with its path and label."
        raise GraftError(message)
    if all(entry.kind == QuarantineKind.MISSING for entry in entries):
        message = (
            f"{file}: none of the {len(entries):,} listed files exists, such as '{printable(first.path)}' in "
            f"{first.location}. Paths are relative to the folder of the table."
        )
        raise GraftError(message)
    classes = {entry.label for entry in entries if entry.label.strip()}
    if len(classes) <= 1:
        content = f"one class, '{printable(classes.pop())}'" if classes else "no labels"
        message = f"{file} has {content}. Expected two classes or more."
        raise GraftError(message)
