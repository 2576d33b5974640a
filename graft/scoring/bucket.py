"""Images in a bucket: listed, and read one by one as they are needed."""

import re
from typing import NamedTuple

import pyarrow as pa
from pyarrow import fs

from graft.scoring.images import Image, Listing, Version
from tasks.common.endings import has_image_ending
from tasks.common.errors import DownloadError, GraftError, ImageError
from tasks.common.text import printable


class BucketSource(NamedTuple):
    """An object of a bucket; its name begins with the scheme, as the user gave it."""

    name: str
    path: str
    files: fs.FileSystem

    def read(self) -> bytes:
        """Return the content of the object.

        Raises:
            ImageError: The object is no longer there.
            DownloadError: The bucket does not answer.
        """
        try:
            with self.files.open_input_stream(self.path) as stream:
                return bytes(stream.read())
        except FileNotFoundError as error:
            message = "cannot be read: no longer in the bucket"
            raise ImageError(message) from error
        except (OSError, pa.ArrowException) as error:
            message = f"{printable(self.name)} cannot be read: {_reason(error)}. {REMEDY}."
            raise DownloadError(message) from error


REMEDY = "Check the address, the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) and the network, then run again"


def list_bucket(address: str) -> Listing:
    """Return the images below an address, in order.

    Raises:
        GraftError: The address is not one of a bucket, or there is no such bucket.
        DownloadError: The bucket cannot be listed.
    """
    # Credentials may be given as s3://KEY:SECRET@bucket and after a question mark: these are not shown.
    name = re.sub("//[^:/]*:.*@", "//", address).partition("?")[0].rstrip("/")
    try:
        files, root = fs.FileSystem.from_uri(address)
    except (OSError, ValueError, pa.ArrowException) as error:
        # Without a region, one is asked for here already.
        if isinstance(error, OSError) and "NETWORK_CONNECTION" in str(error):
            message = f"{printable(name)} cannot be reached: {_reason(error)}. {REMEDY}."
            raise DownloadError(message) from error
        message = (
            f"{printable(name)} is no address of images: {_reason(error).replace(address, name)}. Expected a folder, "
            "or s3://bucket/folder."
        )
        raise GraftError(message) from error
    root = root.rstrip("/")
    try:
        infos = files.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
        is_missing = not infos and not _has_bucket(files, root)
    except (OSError, pa.ArrowException) as error:
        message = f"{printable(name)} cannot be listed: {_reason(error)}. {REMEDY}."
        raise DownloadError(message) from error
    if is_missing:
        message = f"there is no bucket for {printable(name)}. Create it, or give another address."
        raise GraftError(message)
    paths = {info.path: info for info in infos if info.is_file and _is_image(info.path[len(root) + 1 :])}
    images = [
        Image(BucketSource(name + path[len(root) :], path, files), Version(info.size or 0, info.mtime_ns or 0))
        for path, info in sorted(paths.items())
    ]
    return Listing(name, images)


def _has_bucket(files: fs.FileSystem, root: str) -> bool:
    """Tell whether the bucket exists; a folder in it exists only as long as there are objects in it."""
    return bool(files.get_file_info(root.partition("/")[0]).type != fs.FileType.NotFound)


def _is_image(path: str) -> bool:
    parts = path.split("/")
    return has_image_ending(path) and not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _reason(error: Exception) -> str:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return printable(re.sub(r"(^.*?: (?=AWS Error)| \(Request ID: .*?\))", "", first_line).rstrip("."))
