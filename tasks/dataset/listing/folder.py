"""The files of a dataset's folder with the class and the split that their folders give them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tasks.common.errors import GraftError, QuarantineKind
from tasks.common.text import printable, readable
from tasks.dataset.listing.layout import Layout, expect, find_layout
from tasks.dataset.listing.names import split_of
from tasks.dataset.listing.suggestions import show, suggest_parent
from tasks.dataset.listing.tree import Item, Pictures, Tree, walk


class Entry(NamedTuple):
    """A file of the dataset: its path below the root with forward slashes, its class, and why it is set aside.

    `split` (train, val or test) and `group` are None where neither folders nor a table give them. A folder that cannot
    be used is an entry too; its path ends in a slash unless it is a link. `label` is "" where a file has no class.
    `attributes` are further columns of a table, None without any.
    """

    path: str
    label: str
    kind: QuarantineKind | None = None
    reason: str | None = None
    split: str | None = None
    group: str | None = None
    attributes: Mapping[str, str] | None = None


def list_files(root: Path) -> list[Entry]:
    """List every visible file below `root`, sorted by path, with the class and the split of its folders.

    Only names are looked at. Set aside with kind and reason are: names that are not UTF-8; links to folders, to nothing
    and out of `root`; pipes, sockets and devices; unreadable folders and empty class folders; files in no class folder;
    pictures of a split without class folders. A folder without a picture by suffix is no class, unless it is empty or
    unreadable or no file of the dataset has such a suffix.

    Raises:
        GraftError: The folder is missing or cannot be read, holds no files or a single class, or another folder is
            visibly the dataset.
    """
    if not root.is_dir():
        message = f"{show(root)} is not a folder. {expect(root)}; set dataset.source in params.yaml."
        raise GraftError(message)
    tree = walk(str(root))
    pictures = Pictures(tree.items)
    layout = find_layout(root, pictures)
    unlabelled = _unlabelled_splits(pictures) if layout == Layout.SPLITS else {}
    classes = _class_folders(tree, pictures, layout)
    entries = [_entry(item, layout, classes, unlabelled, pictures) for item in tree.items]
    entries += _empty_folders(tree, layout, unlabelled)
    _require_classes(root, entries, layout, is_flat=pictures.direct[""] > 0)
    return sorted(entries, key=lambda entry: (entry.path, entry.reason or ""))


def _class_folders(tree: Tree, pictures: Pictures, layout: Layout) -> set[str]:
    """Return the paths of the folders that are classes: those with pictures, or with a folder that is not read."""
    depth = 2 if layout == Layout.SPLITS else 1
    folders = {folder for folder in pictures.total if folder and folder.count("/") == depth - 1}
    for item in tree.items:
        parts = item.path.rstrip("/").split("/")
        if item.is_folder and len(parts) >= depth:
            folders.add("/".join(parts[:depth]))
    if layout == Layout.SPLITS:
        folders = {folder for folder in folders if split_of(folder.partition("/")[0])}
    return folders


def _unlabelled_splits(pictures: Pictures) -> dict[str, str]:
    """Return the split folders without classes, each with the reason why its pictures have none.

    A test set without labels lies directly in its folder, or in a single folder that is no class.
    """
    tops = pictures.subfolders[""]
    trained = {name for top in tops if split_of(top) == "train" for name in pictures.subfolders[top]}
    reasons = {}
    for top in tops:
        names = pictures.subfolders[top]
        if not names:
            reasons[top] = f"has no label: its folder '{readable(top)}' holds no class folders"
        elif len(names) == 1 and names[0] not in trained:
            reasons[top] = f"has no label: its folder '{readable(names[0])}' is no class of the training split"
    return reasons


def _entry(item: Item, layout: Layout, classes: set[str], unlabelled: dict[str, str], pictures: Pictures) -> Entry:
    parts = item.path.rstrip("/").split("/")
    folders = parts if item.is_folder else parts[:-1]
    top = folders[0] if folders else ""
    depth = 2 if layout == Layout.SPLITS else 1
    is_class = top not in unlabelled and "/".join(folders[:depth]) in classes
    label = readable(folders[depth - 1]) if is_class else ""
    split = None
    if layout == Layout.SPLITS:
        split = split_of(top)
    elif layout == Layout.SPLITS_IN_CLASSES and len(folders) > 1:
        split = split_of(folders[1])
    path, kind, reason = readable(item.path), item.kind, item.reason
    if kind is None and path != item.path:
        kind, reason = QuarantineKind.BAD_NAME, "the name is not valid UTF-8"
    elif kind is None and top in unlabelled and pictures.include(item.path):
        kind, reason = QuarantineKind.UNLABELLED, unlabelled[top]
    elif kind is None and not label:
        kind, reason = QuarantineKind.NO_CLASS, "lies in no class folder"
    return Entry(path, label, kind, reason, split)


def _empty_folders(tree: Tree, layout: Layout, unlabelled: dict[str, str]) -> Iterator[Entry]:
    """Yield the class folders, and the split folders, below which no file is listed."""
    depth = 2 if layout == Layout.SPLITS else 1
    filled = {"/".join(item.path.split("/")[:level]) for item in tree.items for level in range(1, depth + 1)}
    for folder in tree.folders:
        top, *below = folder.split("/")
        split = split_of(top) if layout == Layout.SPLITS else None
        is_class = len(below) == depth - 1
        is_split = split is not None and not below
        if folder in filled or top in unlabelled or (layout == Layout.SPLITS and split is None):
            continue
        if is_split or (is_class and (not below or top in filled)):
            label = readable(folder.rpartition("/")[2]) if is_class else ""
            yield Entry(f"{readable(folder)}/", label, QuarantineKind.EMPTY_FOLDER, "the folder holds no files", split)


def _require_classes(root: Path, entries: list[Entry], layout: Layout, *, is_flat: bool) -> None:
    shown = show(root)
    if all(entry.kind == QuarantineKind.EMPTY_FOLDER for entry in entries):
        message = f"{shown} holds no images. {expect(root)}; set dataset.source in params.yaml."
        raise GraftError(message)
    classes = sorted({entry.label for entry in entries} - {""})
    if len(classes) > 1:
        return
    content = f"one class, '{printable(classes[0])}'" if classes else "files but no class folders"
    # A folder with loose pictures may be one of the classes.
    if is_flat and (advice := suggest_parent(root)):
        message = f"{shown} holds {content}, but its parent holds class folders: {advice}."
        raise GraftError(message)
    message = f"{shown} holds {content}. {expect(root, layout)}, with two classes or more."
    raise GraftError(message)
