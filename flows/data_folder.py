"""Checks of a dataset's folder before any stage runs; images are recognised by their suffixes alone."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import GraftError

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".avif", ".jp2", ".tga", ".heic", ".heif"),
)
SPLIT_NAMES = frozenset({"train", "val", "valid", "validation", "test"})
# Graft's own outputs hold no dataset.
SKIPPED_NAMES = frozenset({"artifacts", "node_modules", "__pycache__"})
MAX_ENTRIES = 20_000
MAX_DEPTH = 3
MAX_SUGGESTIONS = 3


class _Listing(NamedTuple):
    """The visible subfolders of a folder, without links, and whether an image lies directly in it."""

    subfolders: list[Path]
    has_image: bool


class _Search:
    """A bounded look at folders: after MAX_ENTRIES directory entries every folder seems empty."""

    def __init__(self) -> None:
        self._entries_left = MAX_ENTRIES

    def list_folder(self, folder: Path, *, stop_at_image: bool = False) -> _Listing:
        """List a folder; with `stop_at_image` the list of subfolders may be incomplete if there is an image."""
        subfolders, has_image = [], False
        for entry in self._scan(folder):
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED_NAMES:
                    subfolders.append(Path(entry.path))
            elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                has_image = True
                if stop_at_image:
                    break
        return _Listing(sorted(subfolders), has_image)

    def has_class_folders(self, folder: Path, least: int = 2) -> bool:
        """Tell whether at least that many subfolders hold images directly."""
        count = 0
        for subfolder in self.list_folder(folder).subfolders:
            count += self.list_folder(subfolder, stop_at_image=True).has_image
            if count >= least:
                return True
        return False

    def datasets_below(self, folder: Path) -> list[Path]:
        """Return the highest folders below `folder` that hold class folders, level by level."""
        datasets: list[Path] = []
        level = self.list_folder(folder).subfolders
        for _ in range(MAX_DEPTH):
            deeper: list[Path] = []
            for candidate in level:
                if self.has_class_folders(candidate, least=1 if _is_split(candidate) else 2):
                    datasets.append(candidate)
                else:
                    deeper += self.list_folder(candidate).subfolders
            level = deeper
        return datasets

    def _scan(self, folder: Path) -> Iterator["os.DirEntry[str]"]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if self._entries_left == 0:
                        return
                    self._entries_left -= 1
                    if not entry.name.startswith("."):
                        yield entry
        except OSError:
            # The stage `dataset` reports a folder that cannot be read.
            return


def source_of(folder: Path, root: Path) -> str:
    """Return a resolved folder as the value of `dataset.source`: relative to `root` if it lies below it."""
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)


def check_choice(data: Path, root: Path) -> None:
    """Raise a GraftError that suggests another `--data` if `data` is visibly not a folder of class folders.

    Folders about which a bounded look says nothing clear pass: the stage `dataset` examines them completely.
    """
    folder = data.resolve()
    shown = escape(str(data))
    layout = f"Expected one folder a class, {escape(str(data / 'CLASS' / 'IMAGE'))}"
    search = _Search()
    if root.resolve().is_relative_to(folder):
        datasets = [path for path in search.datasets_below(folder) if not root.resolve().is_relative_to(path)]
        advice = _suggest(data, datasets) if datasets else "put the class folders below a folder of their own"
        message = f"--data {shown} holds Graft itself. {layout}; {advice}."
        raise GraftError(message)
    listing = search.list_folder(folder)
    # A flat folder named `test` is common beside a `train` that holds class folders.
    possible_classes = [path for path in listing.subfolders if not _is_split(path)]
    if any(search.list_folder(path, stop_at_image=True).has_image for path in possible_classes):
        return
    datasets = search.datasets_below(folder)
    splits = sorted(filter(_is_split, datasets), key=lambda path: path.name.lower() != "train")
    if splits:
        names = ", ".join(escape(path.name) for path in splits[: len(SPLIT_NAMES)])
        message = (
            f"--data {shown} holds split folders ({names}), which are not read yet: the class folders must lie "
            f"directly below --data. Merge the splits, or {_suggest(data, splits[:1])} alone; "
            "Graft splits the images itself."
        )
        raise GraftError(message)
    if datasets:
        message = f"--data {shown} is too high: the class folders lie deeper. {layout}; {_suggest(data, datasets)}."
        if len(listing.subfolders) > 1:
            assignment = shlex.quote(f"dataset.source={source_of(folder, root)}")
            message += f" If its own subfolders are the classes, use --set {escape(assignment)}."
        raise GraftError(message)
    may_be_class = listing.has_image or not listing.subfolders
    if may_be_class and not root.resolve().is_relative_to(folder.parent) and search.has_class_folders(folder.parent):
        message = f"--data {shown} holds no class folders, but its parent does: {_suggest(data, [folder.parent])}."
        raise GraftError(message)


def check_names(root: Path, source: str) -> None:
    """Raise a GraftError if DVC could not read an entry below `source`, a path that may be relative to `root`.

    DVC fails without a file's name at a symbolic link without a target and at a name that is not UTF-8.
    Links to folders are not followed. A source that is no folder passes.
    """
    unreadable = sorted(_unreadable_entries(root / source)) if (root / source).is_dir() else []
    if unreadable:
        path, reason = unreadable[0]
        shown = escape(os.path.relpath(path, root) if Path(path).is_relative_to(root) else path)
        many = len(unreadable) > 1
        count, pronoun = (f" (the first of {len(unreadable):,} such entries)", "them") if many else ("", "it")
        message = f"{shown} {reason}{count}, and DVC cannot read {pronoun}. Remove or rename {pronoun}, then run again."
        raise GraftError(message)


def _unreadable_entries(folder: Path) -> Iterator[tuple[str, str]]:
    pending = [str(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if not _is_utf8(entry.name):
                        yield entry.path, "has a name that is not UTF-8"
                    elif entry.is_symlink() and not Path(entry.path).exists():
                        yield entry.path, "is a symbolic link whose target is missing"
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            # DVC names a folder that it cannot open.
            continue


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_split(folder: Path) -> bool:
    return folder.name.lower() in SPLIT_NAMES


def _suggest(data: Path, folders: list[Path]) -> str:
    """Return advice to use one of the folders, written as `data` is: absolute, or relative to the working folder."""
    shown = [str(path) if data.is_absolute() else os.path.relpath(path) for path in folders[:MAX_SUGGESTIONS]]
    options = " or ".join(f"--data {escape(shlex.quote(path))}" for path in shown)
    more = f" (and {len(folders) - len(shown):,} more)" if len(folders) > len(shown) else ""
    return f"use {options}{more}"


def escape(text: str) -> str:
    """Return the text on one line: bytes that are not UTF-8 and control characters become escapes."""
    readable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in readable)
