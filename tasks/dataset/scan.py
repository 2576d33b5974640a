"""The properties of one file of the dataset."""

from contextlib import suppress
from hashlib import sha256
from pathlib import Path, PurePosixPath

import imagehash
from PIL import Image, UnidentifiedImageError

from tasks.common.errors import ImageError, QuarantineKind
from tasks.dataset.folder import Entry
from tasks.images.decoding import FORMATS, decode
from tasks.tables.manifest import Row

SUFFIXES = """
    .jpg .jpeg .jpe .jfif .jif .jps .mpo .png .apng .webp .bmp .dib .gif .tif .tiff
    .heic .heics .heif .heifs .hif .avif .avifs .jp2 .j2k .j2c .jpc .jpf .jpx .jxl .jxr .wdp .hdp
    .tga .icb .vda .vst .ppm .pgm .pbm .pnm .pam .pfm .pcx .dds .exr .hdr .psd .xcf .ico .cur .icns .sgi .qoi .dcm
    .dng .raw .cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .orf .rw2 .rwl .raf .pef .srw .3fr .iiq .kdc .mrw .x3f
"""
# A file with one of these suffixes was meant to be a picture, so it counts against the dataset where it is none.
IMAGE_SUFFIXES = frozenset(SUFFIXES.split())


def scan_file(root: Path, entry: Entry, max_megapixels: float) -> Row:
    """Read one file once and return its row, without a split; a file that cannot be used carries kind and reason."""
    row = Row(
        entry.path,
        entry.label,
        given_split=entry.split,
        given_group=entry.group,
        kind=entry.kind,
        reason=entry.reason,
    )
    if entry.kind in {None, QuarantineKind.NO_CLASS} and is_other_file(root / entry.path):
        size = (root / entry.path).stat().st_size
        return row._replace(bytes=size, kind=QuarantineKind.OTHER_FILE, reason="not an image by name or content")
    if entry.kind is not None:
        return row
    try:
        content = (root / entry.path).read_bytes()
    except OSError as error:
        return row._replace(kind=QuarantineKind.UNREADABLE, reason=f"cannot be read: {error.strerror}")
    row = row._replace(sha256=sha256(content).hexdigest(), bytes=len(content))
    try:
        image = decode(content, max_megapixels)
    except ImageError as error:
        return row._replace(kind=error.kind, reason=str(error))
    perceptual_hash = int(str(imagehash.phash(Image.fromarray(image.pixels))), 16)
    return row._replace(
        phash=perceptual_hash, format=image.format, mode=image.mode, width=image.width, height=image.height
    )


def is_other_file(path: Path) -> bool:
    """Say whether neither the suffix nor the content of the file is that of a picture; reads little of the file.

    A damaged picture and a file that cannot be read are no other files: they count against the dataset.
    """
    if PurePosixPath(path.name).suffix.lower() in IMAGE_SUFFIXES:
        return False
    # Decoders raise any type for the header of a damaged picture.
    with suppress(Exception):
        try:
            Image.open(path, formats=FORMATS).close()
        except UnidentifiedImageError:
            return True
    return False
