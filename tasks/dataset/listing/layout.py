"""How a dataset's folder is laid out: which folders are its classes, and which are given splits."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from tasks.common.errors import GraftError
from tasks.common.text import printable
from tasks.dataset.listing.names import is_date, split_meant_by, split_of
from tasks.dataset.listing.suggestions import largest_first, list_names, show, suggest
from tasks.dataset.listing.tree import Pictures


class Layout(StrEnum):
    """The order of the folders above an image; folders below the class belong to it."""

    CLASSES = "CLASS/IMAGE"
    SPLITS = "SPLIT/CLASS/IMAGE"
    SPLITS_IN_CLASSES = "CLASS/SPLIT/IMAGE"


def find_layout(root: Path, pictures: Pictures) -> Layout:
    """Return the layout of the folder `root`, judged by the names of its folders and where its pictures lie.

    - SPLITS: `train` holds folders with pictures, and no other folder but split folders holds pictures.
    - SPLITS_IN_CLASSES: every class holds `train`, and its pictures lie directly in split folders.
    - CLASSES otherwise; so `train` is a class where it holds images directly and lies beside a class of another name.

    Raises:
        GraftError: The dataset is visibly another folder, or the split folders can be read in two ways.
    """
    folders = pictures.subfolders[""]
    splits = {folder: split_of(folder) for folder in folders}
    training = [folder for folder, split in splits.items() if split == "train" and pictures.subfolders[folder]]
    if folders and all(splits.values()):
        if training:
            return Layout.SPLITS
        if len(folders) > 1:
            _refuse_splits_without_classes(root, splits)
    elif len(set(splits.values()) - {None}) > 1 and any(not pictures.direct[folder] for folder in training):
        _refuse_mixed_folders(root, splits)
    if len(folders) == 1:
        _refuse_if_too_high(root, pictures)
    elif folders and not any(pictures.direct[folder] for folder in folders):
        if _has_splits_in_classes(pictures):
            return Layout.SPLITS_IN_CLASSES
        _refuse_unmarked_splits(root, folders)
        _refuse_several_datasets(root, pictures)
    return Layout.CLASSES


def expect(root: Path, layout: Layout = Layout.CLASSES) -> str:
    """Return the sentence that says which layout is expected."""
    path = root / ("train/CLASS/IMAGE" if layout == Layout.SPLITS else layout.value)
    return f"Expected {'one folder a class, ' if layout == Layout.CLASSES else ''}{printable(str(path))}"


def _has_splits_in_classes(pictures: Pictures) -> bool:
    return all(
        any(split_of(name) == "train" for name in pictures.subfolders[folder])
        and all(split_of(name) and pictures.direct[f"{folder}/{name}"] for name in pictures.subfolders[folder])
        for folder in pictures.subfolders[""]
    )


def _refuse_splits_without_classes(root: Path, splits: dict[str, str | None]) -> NoReturn:
    lack = "'train' holds no class folders" if "train" in splits.values() else "none of them is named train"
    message = (
        f"{show(root)} holds split folders ({list_names([*splits])}), but {lack}. {expect(root, Layout.SPLITS)}; sort "
        "the images into a folder a class, set dataset.table if a table names their classes, or rename the folders if "
        "they are classes."
    )
    raise GraftError(message)


def _refuse_mixed_folders(root: Path, splits: dict[str, str | None]) -> NoReturn:
    named = [folder for folder, split in splits.items() if split]
    others = [folder for folder, split in splits.items() if not split]
    message = (
        f"{show(root)} holds split folders ({list_names(named)}) beside other folders with pictures "
        f"({list_names(others)}). {expect(root, Layout.SPLITS)}; move the other folders elsewhere, or rename the split "
        "folders if they are classes."
    )
    raise GraftError(message)


def _refuse_if_too_high(root: Path, pictures: Pictures) -> None:
    """Raise if the only folder with pictures is itself a dataset, or leads to one."""
    [folder] = pictures.subfolders[""]
    while len(pictures.subfolders[folder]) == 1 and not pictures.direct[folder]:
        folder = f"{folder}/{pictures.subfolders[folder][0]}"
    if len(pictures.subfolders[folder]) > 1:
        parent, _, last = folder.rpartition("/")
        # A folder that holds nothing but `train` is a dataset with that split.
        dataset = parent if split_of(last) == "train" else folder
        message = f"{show(root)} is too high: its class folders lie deeper. {expect(root)}; {suggest(root, [dataset])}."
        raise GraftError(message)


def _refuse_unmarked_splits(root: Path, folders: Sequence[str]) -> None:
    """Raise if each folder is named like a split, such as `training_set` and `test_set`."""
    meant = {split_meant_by(folder) for folder in folders}
    if None not in meant and "train" in meant and len(meant) > 1:
        message = (
            f"{show(root)} holds folders that seem to be splits ({list_names(folders)}). "
            f"{expect(root, Layout.SPLITS)}; rename them train, val and test."
        )
        raise GraftError(message)


def _refuse_several_datasets(root: Path, pictures: Pictures) -> None:
    """Raise if most of the second folders have names that occur in several of the first ones, as classes do.

    Subfolders named after dates are no classes, and one shared name says nothing: many collections have `other`.
    """
    folders = pictures.subfolders[""]
    counts = Counter(name for folder in folders for name in pictures.subfolders[folder] if not is_date(name))
    shared = sorted(name for name, count in counts.items() if count > 1)
    total = sum(len(pictures.subfolders[folder]) for folder in folders)
    if len(shared) > 1 and 2 * sum(counts[name] for name in shared) > total:
        message = (
            f"{show(root)} is too high: {list_names(folders)} hold subfolders of the same names "
            f"({list_names(shared)}). {expect(root)}; {suggest(root, largest_first(folders, pictures))}. "
            f"If {list_names(folders)} are the classes, move them into a folder {printable(str(root / 'train'))}."
        )
        raise GraftError(message)
