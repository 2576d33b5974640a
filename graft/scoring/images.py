"""The images of a folder or a bucket, with the facts by which a changed one is noticed."""

import stat
from pathlib import Path
from typing import NamedTuple

from graft.sources import FileSource, Source, files_below
from tasks.common.errors import GraftError
from tasks.common.text import printable


class Version(NamedTuple):
    """The size of a file in bytes and the time of its last change in nanoseconds since 1970."""

    size: int
    modified_ns: int


class Image(NamedTuple):
    """An image that can be read, and its version; both numbers of the version are 0 if they cannot be found out."""

    source: Source
    version: Version


class Listing(NamedTuple):
    """The images below a folder or an address of a bucket, and the location without credentials."""

    location: str
    images: list[Image]


def list_images(location: str) -> Listing:
    """Return the images below a folder, or below an address such as s3://bucket/folder, in order.

    An image is a file whose ending is that of a picture. Hidden files and folders are left out.

    Raises:
        GraftError: There is no such folder.
        DownloadError: The bucket cannot be listed.
    """
    if "://" in location:
        # Only buckets need pyarrow's file systems, whose import takes a moment.
        from graft.scoring.bucket import list_bucket

        return list_bucket(location)
    folder = Path(location)
    # As a path, an empty name would be the working folder.
    if not location or not folder.is_dir():
        found = "is no folder" if folder.exists() else "does not exist"
        message = f"{printable(location) or 'an empty name'} {found}. Expected a folder of images, or an address, s3://bucket/folder."
        raise GraftError(message)
    images = [Image(source, version) for source in files_below(folder) if (version := _version(source)) is not None]
    return Listing(str(folder), images)


def _version(source: FileSource) -> Version | None:
    """Return the version of a file, or None for a pipe or a device, whose reading may never end."""
    try:
        status = source.path.stat()
    except OSError:
        return Version(0, 0)
    # A folder is among the sources only if it cannot be listed.
    if stat.S_ISDIR(status.st_mode):
        return Version(0, 0)
    return Version(status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None
