"""The training images whose most similar ones the page shows: where they are, and which of them are taken."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from graft.sources import FileSource, find_images
from tasks.common.errors import GraftError
from tasks.common.text import join, printable

ACCEPTED = Path("artifacts/validation/accepted.parquet")
PARAMS = Path("params.yaml")
MOST_IMAGES = 300
COLUMNS = ["path", "label", "split"]


class TrainingImage(NamedTuple):
    """An image file with its class, and the name that the page shows, which tells nothing about this machine."""

    path: Path
    label: str
    name: str


def named_images(names: Sequence[str]) -> list[TrainingImage]:
    """Return the images that the names stand for: tables of accepted images (.parquet), files, folders, patterns.

    The class of a file is the name of its folder.

    Raises:
        GraftError: There are none, or a name stands for something else.
    """
    tables = [Path(name) for name in names if name.endswith(".parquet")]
    others = [name for name in names if not name.endswith(".parquet")]
    images = [image for table in tables for image in accepted_images(table)]
    for entry in find_images(others).files if others else []:
        if not isinstance(entry, FileSource):
            message = f"{printable(str(entry))} is an archive. Extract it, and give the folder to --images."
            raise GraftError(message)
        label = entry.path.absolute().parent.name
        images.append(TrainingImage(entry.path, label, f"{label}/{entry.path.name}"))
    return images


def accepted_images(table: Path) -> list[TrainingImage]:
    """Return the training images in a table such as `accepted.parquet`, whose rows are `path`, `label` and `split`.

    The paths begin at the images' folder: `dataset.source` if the working directory has a params.yaml, and else the
    working directory.

    Raises:
        GraftError: The table or the images' folder cannot be used, or a package is missing.
    """
    shown = printable(str(table))
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        message = f"{shown} needs pyarrow to be read: pip install pyarrow. A folder of images does without."
        raise GraftError(message) from error
    try:
        columns = pq.read_schema(table).names
        rows = pq.read_table(table, columns=COLUMNS).to_pylist() if set(COLUMNS) <= set(columns) else [{}]
    except (OSError, pa.ArrowException) as error:
        reason = printable(" ".join(str(error).split())).rstrip(".")
        message = f"{shown} cannot be read: {reason}. Expected the table accepted.parquet that validation writes."
        raise GraftError(message) from error
    if not all(isinstance(row.get(name), str) for row in rows for name in COLUMNS):
        message = f"{shown} is not the table accepted.parquet that validation writes: expected {join(COLUMNS)} as text."
        raise GraftError(message)
    if not any(row["split"] == "train" for row in rows):
        message = f"{shown} names no training images."
        raise GraftError(message)
    folder = _images_folder()
    return [
        TrainingImage(folder / _inside(row["path"], shown), row["label"], row["path"])
        for row in rows
        if row["split"] == "train"
    ]


def choose(images: Sequence[TrainingImage]) -> list[TrainingImage]:
    """Return at most MOST_IMAGES of the images, in their order: as many of each class as possible, evenly spaced."""
    by_label: dict[str, list[int]] = {}
    for index, image in enumerate(images):
        by_label.setdefault(image.label, []).append(index)
    quotas = dict.fromkeys(by_label, 0)
    free = MOST_IMAGES
    while free and (open_labels := [label for label, rows in by_label.items() if quotas[label] < len(rows)]):
        for label in open_labels[:free]:
            quotas[label] += 1
        free -= len(open_labels[:free])
    chosen = [
        rows[position * len(rows) // quotas[label]]
        for label, rows in by_label.items()
        for position in range(quotas[label])
    ]
    return [images[index] for index in sorted(chosen)]


def _images_folder() -> Path:
    if not PARAMS.exists():
        return Path()
    try:
        from tasks.common import params
        from tasks.images.sources import image_folder
    except ImportError as error:
        message = f"{PARAMS} needs {error.name} to be read: pip install 'graft[train]'."
        raise GraftError(message) from error
    return image_folder(Path(params.load(PARAMS).dataset.source))


def _inside(path: str, table: str) -> str:
    """Return a path from a table if it stays below the images' folder: what it names will be shown on the page."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        message = f"{table} names the image '{printable(path)}', which is outside the images' folder."
        raise GraftError(message)
    return path
