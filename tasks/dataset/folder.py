"""The files of a dataset's folder and the class of each."""

import os
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import GraftError, QuarantineKind

IGNORED = frozenset({"thumbs.db", "desktop.ini"})
# Operating systems and storage devices leave these folders behind; as classes without images they would stop the run.
IGNORED_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information"})


class Entry(NamedTuple):
    """A file of the dataset: its path below the root with forward slashes, its class, and why it is set aside.

    `split` (train, val or test) and `group` are None where neither folders nor a table give them. A folder that cannot be used is an entry too; its path ends in a slash unless it is a link.
    """

    path: str
    label: str
    kind: QuarantineKind | None = None
    reason: str | None = None
    split: str | None = None
    group: str | None = None


def list_files(root: Path) -> list[Entry]:
    """List every visible file below `root`, sorted by path; the first folder of its path is its class.

    Files that cannot be used, and linked, unreadable and empty class folders, are listed with their kind and reason.

    Raises:
        GraftError: The folder is missing, cannot be read, holds no files, or holds a single class.
    """
    layout = f"Expected one folder a class, {root}/CLASS/IMAGE"
    if not root.is_dir():
        message = f"{root} is not a folder. {layout}; set dataset.source in params.yaml."
        raise GraftError(message)
    entries = sorted(_walk(root), key=lambda entry: (entry.path, entry.reason or ""))
    classes = sorted({entry.label for entry in entries if entry.label})
    if all(entry.kind == QuarantineKind.EMPTY_FOLDER for entry in entries):
        message = f"{root} holds no images. {layout}; set dataset.source in params.yaml."
        raise GraftError(message)
    if len(classes) <= 1:
        content = f"one class, '{classes[0]}'" if classes else "files but no class folders"
        message = f"{root} holds {content}. {layout}, with two classes or more."
        raise GraftError(message)
    return entries


def _walk(root: Path) -> list[Entry]:
    entries: list[Entry] = []
    class_folders: list[str] = []

    def list_unreadable(error: OSError) -> None:
        folder = Path(error.filename).relative_to(root)
        reason = f"cannot be read: {error.strerror}"
        if folder == Path():
            message = f"{root} {reason}. Give yourself the right to read it, or set dataset.source in params.yaml."
            raise GraftError(message) from error
        entries.append(_folder_entry(folder, QuarantineKind.UNREADABLE, reason))

    for folder, subfolders, files in os.walk(root, onerror=list_unreadable):
        relative = Path(folder).relative_to(root)
        subfolders[:] = [name for name in subfolders if _is_visible_folder(name)]
        links = [name for name in subfolders if (Path(folder) / name).is_symlink()]
        entries += [
            _folder_entry(relative / name, QuarantineKind.LINK, "a folder behind a symbolic link is not followed")
            for name in links
        ]
        visible = [name for name in files if not name.startswith(".") and name.lower() not in IGNORED]
        entries += [_file_entry(relative / name) for name in visible]
        if relative == Path():
            class_folders = [*subfolders]
    labels = {entry.label for entry in entries}
    empty = [name for name in class_folders if _readable(name) not in labels]
    return entries + [
        _folder_entry(Path(name), QuarantineKind.EMPTY_FOLDER, "the folder holds no files") for name in empty
    ]


def _is_visible_folder(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in IGNORED_FOLDERS


def _readable(text: str) -> str:
    """Return the text with escapes in the place of bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _folder_entry(folder: Path, kind: QuarantineKind, reason: str) -> Entry:
    path = _readable(folder.as_posix())
    label = path.split("/", 1)[0]
    return Entry(path if kind == QuarantineKind.LINK else f"{path}/", label, kind, reason)


def _file_entry(path: Path) -> Entry:
    text = path.as_posix()
    readable = _readable(text)
    label = readable.split("/", 1)[0] if "/" in readable else ""
    if readable != text:
        return Entry(readable, label, QuarantineKind.BAD_NAME, "the name is not valid UTF-8")
    if not label:
        return Entry(text, label, QuarantineKind.NO_CLASS, "lies in no class folder")
    return Entry(text, label)
