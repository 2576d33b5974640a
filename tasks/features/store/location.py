"""Where a feature store lies: a local folder, or a bucket that pyarrow knows; every trouble there told in one line."""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from tasks.common.errors import GraftError
from tasks.common.progress import say

WHOLE = {"s3", "gcs", "abfs"}  # an object appears whole when its upload ends, or not at all
TRIES = 3
LINES = 10
TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp")


class Location:
    """A folder of folders of files that are either whole or not there; may be pickled and shared by threads."""

    def __init__(self, place: str | Path) -> None:
        """Take a local path, or a URI such as s3://bucket/folder; nothing is made. Raises GraftError."""
        text = str(place)
        self.files: fs.FileSystem = fs.LocalFileSystem()
        if "://" not in text:
            self.name = self._root = str(Path(text).expanduser().absolute())
            return
        # Keys may be given as s3://KEY:SECRET@bucket, and an endpoint after a question mark: neither is for the screen.
        self.name = re.sub("//[^:/]*:.*@", "//", text).partition("?")[0].rstrip("/")
        try:
            self.files, root = fs.FileSystem.from_uri(text)
        except (OSError, ValueError, pa.ArrowException) as error:
            message = (
                f"features.store must be a folder or an address such as s3://bucket/folder; {self.name} cannot be used:"
                f" {reason(error).replace(text, self.name)}."
            )
            raise GraftError(message) from error
        self._root = root.rstrip("/")
        if not self._root:
            message = f"features.store must name a bucket, such as s3://bucket/folder; found {self.name}//."
            raise GraftError(message)

    def path(self, *parts: str) -> str:
        """Return the path of a folder or a file of the place, as its file system wants it."""
        return "/".join([self._root, *parts])

    def shown(self, *parts: str) -> str:
        """Return the path of a folder or a file of the place, as people know it."""
        return "/".join([self.name, *parts])

    def entries(self, *folder: str) -> list[fs.FileInfo]:
        """Return what is in a folder, by name; nothing if there is no such folder. Raises GraftError."""
        with self._told("read", "Give read access there"):
            found = self.files.get_file_info(fs.FileSelector(self.path(*folder), allow_not_found=True))
        if not found:
            self.check()
        return sorted(found, key=lambda info: info.base_name)

    def put(self, folder: str, name: str, content: pa.Buffer) -> None:
        """Put a file whole into a folder, over one of the same name; raises GraftError and leaves nothing then."""
        with self._told("written to", "Make room and give write access there"):
            if self.files.type_name in WHOLE:
                self._write(self.path(folder, name), content)
                return
            for tries_left in reversed(range(TRIES)):
                temporary = self.path(folder, f".{name}.{secrets.token_hex(8)}.tmp")
                try:
                    self.files.create_dir(self.path(folder))
                    # Not synced: after a power cut the file may hold anything, which is found out as any damage is.
                    self._write(temporary, content)
                    self.files.move(temporary, self.path(folder, name))
                except FileNotFoundError:  # the store was deleted meanwhile, as it may be at any time
                    if not tries_left:
                        raise
                else:
                    return
                finally:
                    with suppress(OSError):
                        self.files.delete_file(temporary)

    def delete(self, folder: str, name: str) -> bool:
        """Delete a file, and tell whether it was there; raises GraftError."""
        with self._told("pruned", "Give write access there"):
            try:
                self.files.delete_file(self.path(folder, name))
            except FileNotFoundError:
                return False
        return True

    def ignore(self, folder: str, useless: Mapping[str, str]) -> None:
        """Say which files are ignored, and why; raises GraftError if it is the whole place that is out of reach."""
        if not useless:
            return
        self.check()
        for name, why in sorted(useless.items())[:LINES]:
            say(f"features: {self.shown(folder, name)} is ignored: {why}")
        if len(useless) > LINES:
            say(f"features: {len(useless) - LINES:,} more files there are ignored")

    def check(self) -> None:
        """Raise GraftError if the place is a file, has no bucket or cannot be reached; it need not exist yet."""
        with self._told("read", "Give read access there"):
            kind = self.files.get_file_info(self._root).type
        if kind is fs.FileType.File and self.files.type_name not in WHOLE:
            message = (
                f"features.store must be a folder; {self.name} is a file. "
                "Move it away, or set features.store to another place."
            )
            raise GraftError(message)
        if self.files.type_name in WHOLE and not self._has_bucket():
            message = (
                f"features.store is {self.name}, but there is no such bucket. "
                "Create it, or set features.store to another place."
            )
            raise GraftError(message)

    def _has_bucket(self) -> bool:
        try:
            return self.files.get_file_info(self._root.partition("/")[0]).type is not fs.FileType.NotFound
        except OSError:  # some may use a folder of a bucket, but not ask about the bucket
            return True

    def _write(self, path: str, content: pa.Buffer) -> None:
        with self.files.open_output_stream(path) as stream:
            stream.write(content)

    @contextmanager
    def _told(self, done: str, remedy: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            if self.files.type_name != "local":
                remedy = "Check its address, the credentials and the network"
            message = (
                f"the feature store {self.name} cannot be {done}: {reason(error)}. "
                f"{remedy}, or set features.store to another place."
            )
            raise GraftError(message) from error


def reason(error: Exception) -> str:
    """Return what an error of pyarrow says, in some words on one line."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"(^.*?: (?=AWS Error)| \(Request ID: .*?\))", "", first).rstrip(".")
