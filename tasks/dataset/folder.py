"""Which files of a folder belong to which class."""

import os
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import GraftError

IGNORED = frozenset({"thumbs.db", "desktop.ini"})


class Entry(NamedTuple):
    """A file of the dataset: its path below the root with forward slashes, its class, and why it is set aside."""

    path: str
    label: str
    reason: str | None = None


def entries(root: Path) -> list[Entry]:
    """List every visible file below `root`, sorted by path; the first folder of its path is its class.

    Raises GraftError when the folder is missing, holds no files, or holds a single class.
    """
    layout = f"Expected one folder a class, {root}/CLASS/IMAGE"
    if not root.is_dir():
        message = f"{root} is not a folder. {layout}; set dataset.source in params.yaml."
        raise GraftError(message)
    found = sorted(_walk(root), key=lambda entry: (entry.path, entry.reason or ""))
    classes = sorted({entry.label for entry in found if entry.label})
    if not found:
        message = f"{root} holds no images. {layout}; set dataset.source in params.yaml."
        raise GraftError(message)
    if len(classes) <= 1:
        held = f"one class, '{classes[0]}'" if classes else "files but no class folders"
        message = f"{root} holds {held}. {layout}, with two classes or more."
        raise GraftError(message)
    return found


def _walk(root: Path) -> list[Entry]:
    found = []
    for folder, folders, files in os.walk(root):
        place = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not name.startswith(".")]
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        found += [_entry(place / name, "a folder behind a symbolic link is not followed") for name in linked]
        found += [
            _entry(place / name, None) for name in files if not name.startswith(".") and name.lower() not in IGNORED
        ]
    return found


def _entry(path: Path, reason: str | None) -> Entry:
    text = path.as_posix()
    readable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if readable != text:
        reason = "the name is not valid UTF-8"
    label = readable.split("/", 1)[0] if "/" in readable else ""
    return Entry(readable, label, reason or (None if label else "lies in no class folder"))
