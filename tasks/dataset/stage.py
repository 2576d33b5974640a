"""The manifest: one row a file, with what was found in it."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tasks.common.errors import ImageError
from tasks.common.files import atomic_file
from tasks.common.params import Dataset
from tasks.common.progress import say, track
from tasks.common.threads import available_cores, ordered_map
from tasks.dataset.folder import Entry, entries
from tasks.dataset.splits import assign, near_duplicate_groups
from tasks.images.decoding import decode

COLUMNS: list[tuple[str, pa.DataType]] = [
    ("path", pa.string()),
    ("label", pa.string()),
    ("split", pa.string()),
    ("sha256", pa.string()),
    ("phash", pa.uint64()),
    ("group", pa.int64()),
    ("format", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("bytes", pa.int64()),
    ("reason", pa.string()),
]
SCHEMA = pa.schema(COLUMNS)


def make(images: Path, out: Path, params: Dataset) -> None:
    """Scan the folder `images` and write its manifest to `out`; raises GraftError when there is nothing to scan."""
    listed = entries(images)
    scanned = ordered_map(
        lambda entry: scan(images, entry, params.max_megapixels),
        listed,
        workers=available_cores(),
        ahead=8 * available_cores(),
    )
    rows = split(list(track(scanned, len(listed), "dataset")), params)
    with atomic_file(out) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary)
    unusable = sum(row["reason"] is not None for row in rows)
    say(f"dataset: {len(rows) - unusable:,} images, {unusable:,} files that cannot be used")


def scan(root: Path, entry: Entry, max_megapixels: float) -> dict[str, Any]:
    """Read one file once and return its row, without a split; a file that cannot be used carries the reason."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {"path": entry.path, "label": entry.label, "reason": entry.reason}
    if entry.reason is not None:
        return row
    try:
        content = (root / entry.path).read_bytes()
    except OSError as error:
        return row | {"reason": f"cannot be read: {error.strerror}"}
    row |= {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    try:
        pixels, encoding = decode(content, max_megapixels)
    except ImageError as error:
        return row | {"reason": str(error)}
    height, width, _ = pixels.shape
    perceptual = int(str(imagehash.phash(Image.fromarray(pixels))), 16)
    return row | {"phash": perceptual, "format": encoding, "width": width, "height": height}


def split(rows: list[dict[str, Any]], params: Dataset) -> list[dict[str, Any]]:
    """Return the rows with a group and a split for every usable image."""
    usable = [row for row in rows if row["reason"] is None]
    groups = near_duplicate_groups(
        np.array([row["phash"] for row in usable], dtype=np.uint64), params.near_duplicate_bits
    )
    splits = assign(
        [row["sha256"] for row in usable],
        [row["label"] for row in usable],
        groups,
        params.seed,
        params.val_fraction,
        params.test_fraction,
    )
    decided = {
        row["path"]: {"group": group, "split": name}
        for row, group, name in zip(usable, groups.tolist(), splits, strict=True)
    }
    return [row | decided.get(row["path"], {}) for row in rows]
