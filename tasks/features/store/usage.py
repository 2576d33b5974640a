"""What a feature store holds, and how it is made smaller."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pyarrow.parquet as pq
from pyarrow import fs

from tasks.common import console
from tasks.common.threads import ordered_map
from tasks.features.store import Store
from tasks.features.store.collection import Collection, Description
from tasks.features.store.index import READERS
from tasks.features.store.location import TEMPORARY, reason
from tasks.features.store.segment import FOLDER, NAME, DamagedError, read_footer

ABANDONED = timedelta(days=1)
COLUMNS = (
    "backbone", "tap", "augmentation", "runtime", "precision", ">width", ">entries", ">segments", ">MB", "newest",
)  # fmt: skip


class Usage(NamedTuple):
    """What a store holds of one space; a vector that two segments hold is two entries."""

    space: Collection
    label: Description
    entries: int
    segments: int
    bytes: int
    newest: datetime


class Pruned(NamedTuple):
    """How many segments were removed, and how many bytes with them, abandoned temporary files included."""

    segments: int
    bytes: int


def usage(store: Store) -> list[Usage]:
    """Return what the store holds of each space, by label; files that cannot be used are named and left out.

    The label is that of the newest segment. Raises GraftError when the store cannot be read.
    """
    rows = [_used(store, folder) for folder in _folders(store)]
    return sorted((row for row in rows if row), key=lambda row: (row.label, row.space))


def prune(store: Store, older_than: timedelta | None = None, keep_bytes: int | None = None) -> Pruned:
    """Remove the segments older than that, then the oldest ones until the rest takes `keep_bytes` at most.

    Temporary files of killed writers go when they are a day old; what else lies there is left alone. Raises GraftError
    when something cannot be removed.
    """
    now = datetime.now(UTC)
    held, doomed = [], []
    for folder in _folders(store):
        for info in store.place.entries(folder):
            if info.is_file and NAME.fullmatch(info.base_name):
                held.append((_time(info), folder, info))
            elif info.is_file and TEMPORARY.fullmatch(info.base_name) and now - _time(info) > ABANDONED:
                doomed.append((folder, info))
    kept = sum(info.size for _, _, info in held)
    for time, folder, info in sorted(held, key=lambda entry: (entry[0], entry[1], entry[2].base_name)):
        too_old = older_than is not None and now - time > older_than
        if not too_old and (keep_bytes is None or kept <= keep_bytes):
            break
        kept -= info.size
        doomed.append((folder, info))
    gone = [info for folder, info in doomed if store.place.delete(folder, info.base_name)]
    return Pruned(sum(bool(NAME.fullmatch(info.base_name)) for info in gone), sum(info.size for info in gone))


def show(store: Store) -> None:
    """Print what the store holds; raises GraftError when it cannot be read."""
    rows = usage(store)
    if not rows:
        print(f"{store.place.name} holds no features.")
        return
    console.print_table(COLUMNS, (_cells(row) for row in rows))
    print(f"\n{_megabytes(sum(row.bytes for row in rows))} MB in {store.place.name}")


def _folders(store: Store) -> list[str]:
    """Return the names of the spaces' folders."""
    found = store.place.entries()
    return [info.base_name for info in found if info.type is fs.FileType.Directory and FOLDER.fullmatch(info.base_name)]


def _used(store: Store, folder: str) -> Usage | None:
    """Return what one folder holds; None if no segment in it can be used."""
    infos = [info for info in store.place.entries(folder) if info.is_file and NAME.fullmatch(info.base_name)]
    footers = ordered_map(lambda info: _footer(store, folder, info), infos, READERS, ahead=8 * READERS)
    good, useless = [], {}
    for info, footer in zip(infos, footers, strict=True):
        if isinstance(footer, str):
            useless[info.base_name] = footer
        elif footer:
            good.append((info, *footer))
    store.place.ignore(folder, useless)
    if not good:
        return None
    newest, _, space, label = max(good, key=lambda entry: (_time(entry[0]), entry[0].base_name))
    rows, size = sum(footer.num_rows for _, footer, _, _ in good), sum(info.size for info, *_ in good)
    return Usage(space, label, rows, len(good), size, _time(newest))


def _footer(
    store: Store, folder: str, info: fs.FileInfo
) -> tuple[pq.FileMetaData, Collection, Description] | str | None:
    """Return the footer of a segment, or why it cannot be used; None if it was deleted meanwhile."""
    try:
        with store.place.files.open_input_file(info.path) as file:
            footer = read_footer(file, info.size)
    except FileNotFoundError:
        return None
    except (DamagedError, OSError) as error:
        return reason(error)
    return footer if footer[1].id == folder else "it belongs to another space"


def _time(info: fs.FileInfo) -> datetime:
    return info.mtime or datetime.min.replace(tzinfo=UTC)  # a file system without times: each file is old


def _cells(row: Usage) -> tuple[str, ...]:
    """Return the cells of a row of the table."""
    return (
        _printable(row.label.backbone),
        _printable(row.label.tap),
        "yes" if row.space.augmentation else "no",
        _printable(row.space.runtime),
        _printable(row.space.precision),
        f"{row.space.width:,}",
        f"{row.entries:,}",
        f"{row.segments:,}",
        _megabytes(row.bytes),
        f"{row.newest.astimezone():%Y-%m-%d %H:%M}",
    )


def _printable(text: str) -> str:
    """Return a text without what would steer a terminal: whoever fills a shared store chooses the labels."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"
