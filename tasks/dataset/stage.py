"""From a dataset's folder, archive or table to its manifest."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tasks.common.errors import QuarantineKind
from tasks.common.params import Dataset
from tasks.common.progress import say, track
from tasks.common.text import count
from tasks.dataset.labels import correct_labels
from tasks.dataset.listing.folder import list_files
from tasks.dataset.listing.table import list_table
from tasks.dataset.scan import scan_files
from tasks.dataset.splits import split_rows
from tasks.images.sources import errors_with_source, image_folder
from tasks.tables import corrections, manifest
from tasks.tables.manifest import SPLITS, Row

# Kinds that are counted apart: these files are no images that cannot be used.
COUNTED_APART = {
    QuarantineKind.OTHER_FILE: ("other file", "other files"),
    QuarantineKind.NOT_LISTED: ("file that the table does not list", "files that the table does not list"),
    QuarantineKind.UNLABELLED: ("file without a label", "files without a label"),
    QuarantineKind.EMPTY_FOLDER: ("empty class folder", "empty class folders"),
    QuarantineKind.DROPPED: ("dropped file", "dropped files"),
    QuarantineKind.SPECIAL_FILE: ("special file", "special files"),
}


def scan_dataset(source: Path, corrections_file: Path, out: Path, params: Dataset) -> None:
    """Scan the images of `source`, a folder or an archive, and write their manifest to `out`.

    Raises:
        GraftError: There is nothing to scan, or the table or the corrections cannot be used.
    """
    decisions = corrections.read(corrections_file)
    images = image_folder(source)
    with errors_with_source(source, images):
        entries = list_files(images) if params.table is None else list_table(images, params.table, params.columns)
    scanned = scan_files(images, entries, params.max_megapixels)
    rows, corrected = correct_labels(list(track(scanned, len(entries), "dataset")), decisions)
    rows = split_rows(rows, params)
    manifest.write(out, rows)
    say(f"dataset: {_summarize(rows, len(corrected), len(decisions))}")


def _summarize(rows: Sequence[Row], corrected: int, corrections_in_all: int) -> str:
    """Return `12 images in 2 classes (8 train, 2 val, 2 test), 1 file that cannot be used; 3 corrections applied`."""
    usable = [row for row in rows if row.kind is None]
    classes = {row.label for row in usable}
    splits = Counter(row.split for row in usable)
    kinds = Counter(row.kind for row in rows)
    unusable = len(rows) - kinds[None] - sum(kinds[kind] for kind in COUNTED_APART)
    text = f"{count(len(usable), 'image')} in {count(len(classes), 'class', 'classes')}"
    text += f" ({', '.join(f'{splits[split]:,} {split}' for split in SPLITS)})"
    counts = [(unusable, ("file that cannot be used", "files that cannot be used"))]
    counts += [(kinds[kind], noun) for kind, noun in COUNTED_APART.items()]
    text += "".join(f", {count(number, *noun)}" for number, noun in counts if number)
    if corrections_in_all:
        text += f"; {count(corrected, 'correction')} applied"
        elsewhere = corrections_in_all - corrected
        text += f", {elsewhere:,} for images that are not here" if elsewhere else ""
    return text
