"""Advice to use another folder as the dataset."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tasks.common.errors import GraftError
from tasks.common.text import join, printable
from tasks.dataset.listing.names import PROJECT_FOLDERS, split_of
from tasks.dataset.listing.tree import Pictures, walk

MAX_NAMES = 3
# The search for a better folder ends after this many entries, so that a look at a home folder takes about a second.
MAX_ENTRIES = 200_000


def refuse_project(root: Path, project: Path) -> NoReturn:
    """Raise a GraftError that names the datasets below `root`, a folder that holds Graft itself."""
    pictures = Pictures(walk(str(root), skipped=PROJECT_FOLDERS, max_entries=MAX_ENTRIES).items)
    inside = project.resolve().relative_to(root.resolve()).as_posix()
    datasets: list[str] = []
    for folder in sorted(filter(None, pictures.subfolders), key=lambda folder: folder.count("/")):
        is_above = f"{inside}/".startswith(f"{folder}/")
        is_deeper = any(folder.startswith(f"{dataset}/") for dataset in datasets)
        if not is_above and not is_deeper and _is_dataset(pictures, folder):
            datasets.append(folder)
    advice = suggest(root, largest_first(datasets, pictures))
    message = (
        f"{show(root)} holds Graft itself. Expected one folder a class, {printable(str(root / 'CLASS' / 'IMAGE'))}; "
        f"{advice or 'put the class folders below a folder of their own'}."
    )
    raise GraftError(message)


def suggest_parent(root: Path) -> str | None:
    """Return advice to use the folder above `root` if that is a dataset and no project of DVC, else None."""
    parent = root.resolve().parent
    if split_of(parent.name):
        parent = parent.parent
    if (parent / "dvc.yaml").exists():
        return None
    pictures = Pictures(walk(str(parent), skipped=PROJECT_FOLDERS, max_depth=3, max_entries=MAX_ENTRIES).items)
    return suggest(root, [str(parent)]) if _is_dataset(pictures, "") else None


def suggest(root: Path, folders: Sequence[str]) -> str:
    """Return advice to use one of the folders below `root`, each written as `root` is: absolute or relative."""
    shown = []
    for folder in folders[:MAX_NAMES]:
        path = str(root / folder)
        relative = os.path.relpath(path)
        shown.append(path if root.is_absolute() else relative if relative.strip("./") else str(Path(path).resolve()))
    more = f" (and {len(folders) - len(shown):,} more)" if len(folders) > len(shown) else ""
    options = " or ".join(f"--data {printable(shlex.quote(path))}" for path in shown)
    return f"use {options}{more}" if folders else ""


def largest_first(folders: Sequence[str], pictures: Pictures) -> list[str]:
    """Return the folders sorted by the number of their pictures."""
    return sorted(folders, key=lambda folder: (-pictures.total[folder], folder))


def show(root: Path) -> str:
    """Return the folder's path as the subject of a sentence."""
    text = printable(str(root))
    return text if root.name not in {"", ".."} else f"the folder {text}"


def list_names(names: Sequence[str]) -> str:
    """Return the first names and the number of the others as an enumeration."""
    shown = [printable(name) for name in names[:MAX_NAMES]]
    return join([*shown, f"{len(names) - MAX_NAMES:,} more"] if len(names) > MAX_NAMES else shown)


def _is_dataset(pictures: Pictures, folder: str) -> bool:
    prefix = f"{folder}/" if folder else ""
    subfolders = pictures.subfolders[folder]
    has_train = any(split_of(name) == "train" and len(pictures.subfolders[prefix + name]) > 1 for name in subfolders)
    return has_train or sum(pictures.direct[prefix + name] > 0 for name in subfolders) > 1
