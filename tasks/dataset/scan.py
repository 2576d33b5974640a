"""The properties of one file of the dataset."""

from hashlib import sha256
from pathlib import Path

import imagehash
from PIL import Image

from tasks.common.errors import ImageError, QuarantineKind
from tasks.dataset.folder import Entry
from tasks.images.decoding import decode
from tasks.tables.manifest import Row


def scan_file(root: Path, entry: Entry, max_megapixels: float) -> Row:
    """Read one file once and return its row, without a split; a file that cannot be used carries kind and reason."""
    row = Row(entry.path, entry.label, kind=entry.kind, reason=entry.reason)
    if entry.kind is not None:
        return row
    try:
        content = (root / entry.path).read_bytes()
    except OSError as error:
        return row._replace(kind=QuarantineKind.UNREADABLE, reason=f"cannot be read: {error.strerror}")
    row = row._replace(sha256=sha256(content).hexdigest(), bytes=len(content))
    try:
        pixels, encoding = decode(content, max_megapixels)
    except ImageError as error:
        return row._replace(kind=error.kind, reason=str(error))
    height, width, _ = pixels.shape
    perceptual_hash = int(str(imagehash.phash(Image.fromarray(pixels))), 16)
    return row._replace(phash=perceptual_hash, format=encoding, width=width, height=height)
