"""The files of a dataset's folder and the class of each."""

import os
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import GraftError, QuarantineKind

IGNORED = frozenset({"thumbs.db", "desktop.ini"})


class Entry(NamedTuple):
    """A file of the dataset: its path below the root with forward slashes, its class, and why it is set aside."""

    path: str
    label: str
    kind: QuarantineKind | None = None
    reason: str | None = None


def list_files(root: Path) -> list[Entry]:
    """List every visible file below `root`, sorted by path; the first folder of its path is its class.

    A file or a linked folder that cannot be used is listed with its kind and reason.

    Raises:
        GraftError: The folder is missing, holds no files, or holds a single class.
    """
    layout = f"Expected one folder a class, {root}/CLASS/IMAGE"
    if not root.is_dir():
        message = f"{root} is not a folder. {layout}; set dataset.source in params.yaml."
        raise GraftError(message)
    entries = sorted(_walk(root), key=lambda entry: (entry.path, entry.reason or ""))
    classes = sorted({entry.label for entry in entries if entry.label})
    if not entries:
        message = f"{root} holds no images. {layout}; set dataset.source in params.yaml."
        raise GraftError(message)
    if len(classes) <= 1:
        content = f"one class, '{classes[0]}'" if classes else "files but no class folders"
        message = f"{root} holds {content}. {layout}, with two classes or more."
        raise GraftError(message)
    return entries


def _walk(root: Path) -> list[Entry]:
    entries = []
    for folder, subfolders, files in os.walk(root):
        relative = Path(folder).relative_to(root)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        entries += [_entry(relative / name, is_link=True) for name in subfolders if (Path(folder) / name).is_symlink()]
        visible = [name for name in files if not name.startswith(".") and name.lower() not in IGNORED]
        entries += [_entry(relative / name) for name in visible]
    return entries


def _entry(path: Path, *, is_link: bool = False) -> Entry:
    text = path.as_posix()
    readable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    label = readable.split("/", 1)[0] if "/" in readable else ""
    if readable != text:
        return Entry(readable, label, QuarantineKind.BAD_NAME, "the name is not valid UTF-8")
    if is_link:
        return Entry(text, label, QuarantineKind.LINK, "a folder behind a symbolic link is not followed")
    if not label:
        return Entry(text, label, QuarantineKind.NO_CLASS, "lies in no class folder")
    return Entry(text, label)
