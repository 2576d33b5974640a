"""The usage of a feature store by collection, and pruning."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tasks.common import console
from tasks.store import MARKERS, Store
from tasks.store.collection import Collection, Description
from tasks.store.header import read_header
from tasks.store.location import TEMPORARY, Entry
from tasks.store.scan import is_segment, list_segments, read_segments

FOLDER = re.compile(r"[0-9a-f]{64}")
ABANDONED = timedelta(days=1)
COLUMNS = (
    "backbone", "tap", "augmentation", "runtime", "precision", ">width", ">entries", ">segments", ">MB", "newest",
)  # fmt: skip


class Usage(NamedTuple):
    """The usage of one collection; a vector in two segments is two entries."""

    collection: Collection
    description: Description
    entries: int
    segments: int
    bytes: int
    newest: datetime


class Pruned(NamedTuple):
    """The numbers of removed segments and bytes, abandoned temporary files included."""

    segments: int
    bytes: int


def usage(store: Store) -> list[Usage]:
    """Return how much the store holds of each collection, by description; damaged files are named and left out.

    The description is that of the newest segment. Raises GraftError when the store cannot be read.
    """
    rows = [_usage_of(store, folder) for folder in _collection_folders(store)]
    return sorted((row for row in rows if row), key=lambda row: (row.description, row.collection))


def prune(store: Store, older_than: timedelta | None = None, keep_bytes: int | None = None) -> Pruned:
    """Remove the segments older than that, then the oldest ones until the rest takes `keep_bytes` at most.

    Temporary files of killed writers, and markers, go when they are a day old; other files are left alone. Raises
    GraftError when something cannot be removed.
    """
    now = datetime.now(UTC)
    segments: list[tuple[str, Entry]] = []
    to_remove = [(MARKERS, entry) for entry in _entries(store, MARKERS) if now - entry.modified > ABANDONED]
    for folder in _collection_folders(store):
        for entry in _entries(store, folder):
            if is_segment(entry):
                segments.append((folder, entry))
            elif TEMPORARY.fullmatch(entry.name) and now - entry.modified > ABANDONED:
                to_remove.append((folder, entry))
    kept_bytes = sum(entry.size for _, entry in segments)
    for folder, entry in sorted(segments, key=lambda segment: (segment[1].modified_ns, segment[0], segment[1].name)):
        is_too_old = older_than is not None and now - entry.modified > older_than
        if not is_too_old and (keep_bytes is None or kept_bytes <= keep_bytes):
            break
        kept_bytes -= entry.size
        to_remove.append((folder, entry))
    removed = [entry for folder, entry in to_remove if store.location.delete(folder, entry.name)]
    return Pruned(sum(map(is_segment, removed)), sum(entry.size for entry in removed))


def show(store: Store) -> None:
    """Print how much the store holds; raises GraftError when it cannot be read."""
    rows = usage(store)
    if not rows:
        print(f"{store.name} holds no features.")
        return
    console.print_table(COLUMNS, (_cells(row) for row in rows))
    print(f"\n{_megabytes(sum(row.bytes for row in rows))} MB in {store.name}")


def _entries(store: Store, folder: str) -> list[Entry]:
    """Return the files of a folder."""
    return [entry for entry in store.location.entries(folder) if not entry.is_folder]


def _collection_folders(store: Store) -> list[str]:
    return [entry.name for entry in store.location.entries() if entry.is_folder and FOLDER.fullmatch(entry.name)]


def _usage_of(store: Store, folder: str) -> Usage | None:
    """Return how much one collection's folder holds; None if no segment in it can be used."""
    headers, reasons = read_segments(store.location, folder, list_segments(store.location, folder), read_header)
    usable = {segment: header for segment, header in headers.items() if header.collection.id == folder}
    misplaced = {segment.name: "it belongs to another collection" for segment in headers if segment not in usable}
    store.location.report_ignored(folder, reasons | misplaced)
    if not usable:
        return None
    newest = max(usable, key=lambda segment: (segment.modified_ns, segment.name))
    rows = sum(header.rows for header in usable.values())
    size = sum(segment.size for segment in usable)
    return Usage(usable[newest].collection, usable[newest].description, rows, len(usable), size, newest.modified)


def _cells(row: Usage) -> tuple[str, ...]:
    """Return the cells of a row of the table."""
    return (
        _printable(row.description.backbone),
        _printable(row.description.tap),
        "yes" if row.collection.augmentation else "no",
        _printable(row.collection.runtime),
        _printable(row.collection.precision),
        f"{row.collection.width:,}",
        f"{row.entries:,}",
        f"{row.segments:,}",
        _megabytes(row.bytes),
        f"{row.newest.astimezone():%Y-%m-%d %H:%M}",
    )


def _printable(text: str) -> str:
    """Return a text without characters that steer a terminal: anyone who fills a shared store chooses these texts."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"
