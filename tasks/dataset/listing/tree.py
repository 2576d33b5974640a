"""The visible files below a folder, and where its pictures lie; nothing is opened or decoded."""

import os
import re
import stat
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

from tasks.common.endings import has_image_ending
from tasks.common.errors import GraftError, QuarantineKind
from tasks.common.text import printable
from tasks.dataset.listing.names import IGNORED

SPECIAL_FILES = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
# DVC puts links into its cache in the place of files where `cache.type` is symlink.
DVC_CACHE = re.compile(r"/[0-9a-f]{2}/[0-9a-f]{30}$")


class Item(NamedTuple):
    """A file, or a folder that cannot be used: its path below the root as the system gives it, kind and reason."""

    path: str
    kind: QuarantineKind | None = None
    reason: str | None = None
    is_folder: bool = False


class Tree(NamedTuple):
    """The visible files, and the folders that were read, in no particular order."""

    items: list[Item]
    folders: list[str]


class Pictures:
    """How many pictures, by suffix, lie in each folder; if no file has the suffix of a picture, every file counts.

    `direct` counts those that lie directly in a folder, `total` those at any depth, `subfolders` names the subfolders
    with pictures at any depth, sorted. The root is "".
    """

    def __init__(self, items: Sequence[Item]) -> None:
        """Count the items that are files."""
        paths = [item.path for item in items if not item.is_folder]
        named = [path for path in paths if has_image_ending(path)]
        self._has_suffixes = bool(named)
        self.direct = Counter(path.rpartition("/")[0] for path in named or paths)
        self.total: Counter[str] = Counter()
        names: dict[str, set[str]] = defaultdict(set)
        for folder, count in self.direct.items():
            self.total[folder] += count
            below = folder
            while below:
                parent, _, name = below.rpartition("/")
                names[parent].add(name)
                self.total[parent] += count
                below = parent
        self.subfolders = defaultdict[str, list[str]](list, {folder: sorted(names[folder]) for folder in names})

    def include(self, path: str) -> bool:
        """Say whether the file at this path is one of the pictures."""
        return not self._has_suffixes or has_image_ending(path)


def walk(
    root: str, *, skipped: frozenset[str] = frozenset(), max_depth: int | None = None, max_entries: int | None = None
) -> Tree:
    """List the visible files below `root`, level by level; links to folders are not followed.

    A link to a file counts as the file if that lies below `root` or in a cache of DVC. Folders in `skipped` are left
    out. After `max_depth` levels or about `max_entries` entries the list ends.

    Raises:
        GraftError: The root cannot be read.
    """
    real_root = os.path.realpath(root)
    items: list[Item] = []
    folders: list[str] = []
    pending = deque([("", 1)])
    entries_left = max_entries
    while pending and (entries_left is None or entries_left > 0):
        folder, depth = pending.popleft()
        prefix = f"{folder}/" if folder else ""
        try:
            with os.scandir(f"{root}/{folder}") as scan:
                entries = list(scan)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            if not folder:
                message = f"{printable(root)} {reason}. Give yourself the right to read it, or use another folder."
                raise GraftError(message) from error
            items.append(Item(prefix, QuarantineKind.UNREADABLE, reason, is_folder=True))
            continue
        if entries_left is not None:
            entries_left -= len(entries)
        for entry in entries:
            path, lower = prefix + entry.name, entry.name.lower()
            if lower.startswith(".") or lower in IGNORED:
                continue
            if not entry.is_dir(follow_symlinks=False):
                items.append(Item(path) if entry.is_file(follow_symlinks=False) else _inspect(entry, path, real_root))
            elif entry.name not in skipped:
                folders.append(path)
                if depth != max_depth:
                    pending.append((path, depth + 1))
    return Tree(items, folders)


def may_read(target: str, real_root: str) -> bool:
    """Say whether the target of a link belongs to the dataset: it lies below `real_root` or in a cache of DVC."""
    return target.startswith(f"{real_root.rstrip('/')}/") or DVC_CACHE.search(target) is not None


def describe_special_file(mode: int) -> str | None:
    """Return the name of a kind of file that has no content to read, or None; `mode` is that of os.stat."""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return SPECIAL_FILES.get(stat.S_IFMT(mode), "a device")


def _inspect(entry: "os.DirEntry[str]", path: str, real_root: str) -> Item:
    """Describe an entry that is neither a folder nor a plain file: a link, a pipe, a socket or a device."""
    try:
        mode = entry.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Item(path, QuarantineKind.LINK, "a symbolic link whose target is missing")
    except OSError as error:
        return Item(path, QuarantineKind.LINK, f"a symbolic link that cannot be followed: {error.strerror}")
    if stat.S_ISDIR(mode):
        return Item(path, QuarantineKind.LINK, "a folder behind a symbolic link is not followed", is_folder=True)
    if special := describe_special_file(mode):
        return Item(path, QuarantineKind.SPECIAL_FILE, f"{special}, not a file with content")
    if may_read(os.path.realpath(entry.path), real_root):
        return Item(path)
    reason = "a symbolic link to a file outside the dataset's folder; put a copy of the file in its place"
    return Item(path, QuarantineKind.LINK, reason)
