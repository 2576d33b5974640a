"""The properties of the dataset's files, found in worker processes, because a file may crash its decoder."""

import os
import stat
from collections.abc import Generator, Iterable
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath

import imagehash
from PIL import Image

from tasks.common import endings
from tasks.common.errors import ImageError, QuarantineKind
from tasks.common.processes import Failure, isolated_map
from tasks.common.threads import available_cores
from tasks.dataset.listing.folder import Entry
from tasks.dataset.listing.tree import describe_special_file
from tasks.dataset.quality import measure_quality
from tasks.images.decoding import Decoded, decode
from tasks.images.formats import HEAD_BYTES, TAIL_BYTES, identify
from tasks.tables.manifest import Row

# Larger files are not read: those of the largest images that are accepted are far smaller.
MAX_BYTES = 2 * 10**9
# The perceptual hash needs 32 pixels a side, the sharpness 64. With twice as many, a photo of 500x375 takes half of
# the time of 256 (1.8 ms and 3.7 ms), and brightness, contrast, entropy and sharpness differ by at most 2 %.
SCAN_SIDE = 128
SECONDS_AN_IMAGE = 60
ROWS_AHEAD = 1000


def scan_files(root: Path, entries: Iterable[Entry], max_megapixels: float) -> Generator[Row, None, None]:
    """Yield the row of each file below `root`, in the entries' order, as `scan_file` returns it.

    A file whose decoder crashes or does not end is set aside as damaged. Memory does not grow with the entries.
    """
    scan = partial(scan_file, root.absolute(), max_megapixels=max_megapixels)
    return isolated_map(scan, entries, set_aside, available_cores(), ROWS_AHEAD, SECONDS_AN_IMAGE)


def scan_file(root: Path, entry: Entry, max_megapixels: float) -> Row:
    """Read one file once and return its row, without a split; a file that cannot be used carries kind and reason."""
    row = _make_row(entry)
    if entry.kind not in {None, QuarantineKind.NO_CLASS}:
        return row
    is_picture = PurePosixPath(entry.path).suffix.lower() in endings.IMAGES
    try:
        content = _read(root / entry.path, whole=entry.kind is None, is_picture=is_picture)
    except ImageError as error:
        return row if entry.kind else row._replace(kind=error.kind, reason=str(error))
    if isinstance(content, int):
        return row._replace(bytes=content, kind=QuarantineKind.OTHER_FILE, reason="not an image by name or content")
    if entry.kind is not None:
        return row
    row = row._replace(sha256=sha256(content).hexdigest(), bytes=len(content))
    try:
        image = decode(content, max_megapixels, min_side=SCAN_SIDE)
    except ImageError as error:
        return row._replace(kind=error.kind, reason=str(error))
    small = _reduce(image)
    return row._replace(
        phash=int(str(imagehash.phash(small)), 16),
        format=image.format,
        mode=image.mode,
        width=image.width,
        height=image.height,
        **measure_quality(small)._asdict(),
    )


def _make_row(entry: Entry) -> Row:
    return Row(
        entry.path,
        entry.label,
        given_split=entry.split,
        given_group=entry.group,
        attributes=entry.attributes,
        kind=entry.kind,
        reason=entry.reason,
    )


def set_aside(entry: Entry, failure: Failure) -> Row:
    """Return the row of a file whose worker ended without an answer."""
    reasons = {
        Failure.CRASHED: "the decoder crashed",
        Failure.TOO_SLOW: f"decoding took longer than {SECONDS_AN_IMAGE} seconds",
    }
    return _make_row(entry)._replace(kind=QuarantineKind.DAMAGED, reason=reasons[failure])


def _read(path: Path, *, whole: bool, is_picture: bool) -> bytes | int:
    """Return the bytes of a file, b"" if they are not wanted whole, or the size of a file that is no picture.

    A file is no picture if neither its suffix nor its content is that of one. A damaged picture and a file that cannot
    be read are no other files: they count against the dataset.

    Raises:
        ImageError: The file cannot be read, is not a regular file, is too large, or changes while it is read.
    """
    try:
        # Without O_NONBLOCK, opening a pipe that has taken the file's place would wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                message = f"is {describe_special_file(status.st_mode) or 'not a file'}"
                raise ImageError(message, QuarantineKind.SPECIAL_FILE)
            if not is_picture:
                head = file.read(HEAD_BYTES)
                file.seek(max(0, status.st_size - TAIL_BYTES))
                if identify(head, file.read(TAIL_BYTES)) is None:
                    return status.st_size
            if not whole:
                return b""
            if status.st_size > MAX_BYTES:
                message = f"{status.st_size:,} bytes are more than {MAX_BYTES:,}"
                raise ImageError(message, QuarantineKind.TOO_LARGE)
            file.seek(0)
            content = file.read(status.st_size + 1)
            if len(content) != status.st_size or os.fstat(file.fileno()).st_mtime_ns != status.st_mtime_ns:
                message = "changed while it was read"
                raise ImageError(message, QuarantineKind.UNREADABLE)
            return content
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ImageError(message, QuarantineKind.UNREADABLE) from error


def _reduce(image: Decoded) -> Image.Image:
    """Average blocks of pixels, so that the shorter side keeps at least SCAN_SIDE pixels if it has them."""
    factor = max(1, min(image.pixels.shape[:2]) // SCAN_SIDE)
    return Image.fromarray(image.pixels).reduce(factor)
