"""From a folder of class folders to its manifest."""

from collections import Counter
from pathlib import Path

from tasks.common.errors import QuarantineKind
from tasks.common.params import Dataset
from tasks.common.progress import say, track
from tasks.common.threads import available_cores, ordered_map
from tasks.dataset.folder import list_files
from tasks.dataset.scan import scan_file
from tasks.dataset.splits import split_rows
from tasks.images.sources import image_folder
from tasks.tables import corrections, manifest


def scan_dataset(images: Path, corrections_file: Path, out: Path, params: Dataset) -> None:
    """Scan the folder `images` and write its manifest to `out`; raises GraftError when there is nothing to scan."""
    corrections.read(corrections_file)
    images = image_folder(images)
    entries = list_files(images)
    scanned = ordered_map(
        lambda entry: scan_file(images, entry, params.max_megapixels),
        entries,
        workers=available_cores(),
        ahead=8 * available_cores(),
    )
    rows = split_rows(list(track(scanned, len(entries), "dataset")), params)
    manifest.write(out, rows)
    kinds = Counter(row.kind for row in rows)
    usable, others, empty = kinds[None], kinds[QuarantineKind.OTHER_FILE], kinds[QuarantineKind.EMPTY_FOLDER]
    counts = f"{usable:,} images, {len(rows) - usable - others - empty:,} files that cannot be used"
    counts += f", {others:,} other files" if others else ""
    counts += f", {empty:,} empty class folders" if empty else ""
    say(f"dataset: {counts}")
