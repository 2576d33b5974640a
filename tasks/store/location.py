"""The location of a feature store: a local folder or a bucket; each fault there becomes an error of one line."""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pyarrow import fs

from tasks.common.errors import GraftError
from tasks.common.files import cache_folder
from tasks.common.progress import say

# On these pyarrow file systems an object appears whole when its upload ends, or not at all.
OBJECT_STORES = {"s3", "gcs", "abfs"}
TRIES = 3
LINES = 10
TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp")


class Entry(NamedTuple):
    """A folder or a file in a folder of the store: its name, size in bytes and time in nanoseconds since 1970.

    A folder has size 0. On a file system without times each file is old.
    """

    name: str
    is_folder: bool
    size: int
    modified_ns: int

    @property
    def modified(self) -> datetime:
        """The time at which the file was written."""
        return datetime.fromtimestamp(self.modified_ns / 1e9, UTC)


class Location:
    """A folder of folders of files, each of which is either whole or not there; may be pickled and shared by threads.

    Only the store's own modules use it.
    """

    def __init__(self, location: str | Path) -> None:
        """Take a local path, or a URI such as s3://bucket/folder; nothing is created. Raises GraftError."""
        text = str(location)
        self._files: fs.FileSystem = fs.LocalFileSystem()
        if "://" not in text:
            self.name = self._root = str(Path(text).expanduser().absolute())
            return
        # Credentials may be given as s3://KEY:SECRET@bucket and after a question mark: these are not shown.
        self.name = re.sub("//[^:/]*:.*@", "//", text).partition("?")[0].rstrip("/")
        try:
            self._files, root = fs.FileSystem.from_uri(text)
        except (OSError, ValueError, pa.ArrowException) as error:
            message = (
                f"features.store must be a folder or an address such as s3://bucket/folder; {self.name} cannot be used:"
                f" {error_text(error).replace(text, self.name)}."
            )
            raise GraftError(message) from error
        self._root = root.rstrip("/")
        if not self._root:
            message = f"features.store must name a bucket, such as s3://bucket/folder; found {self.name}//."
            raise GraftError(message)

    def entries(self, *folder: str) -> list[Entry]:
        """Return what is in a folder, by name; nothing if there is no such folder. Raises GraftError."""
        with self._explained("read", "Give read access there"):
            infos = self._files.get_file_info(fs.FileSelector(self._path(*folder), allow_not_found=True))
        if not infos:
            self.check()
        entries = [
            Entry(info.base_name, info.type is fs.FileType.Directory, info.size or 0, max(0, info.mtime_ns or 0))
            for info in infos
            if info.type in {fs.FileType.File, fs.FileType.Directory}  # no pipes and devices
        ]
        return sorted(entries, key=lambda entry: entry.name)

    def exists(self, folder: str, name: str) -> bool:
        """Tell whether there is such a file; raises GraftError."""
        with self._explained("read", "Give read access there"):
            exists = self._files.get_file_info(self._path(folder, name)).is_file
        if not exists:
            self.check()
        return exists

    def open(self, folder: str, name: str) -> pa.NativeFile:
        """Open a file to read from any position; raises OSError, FileNotFoundError if there is no such file."""
        return self._files.open_input_file(self._path(folder, name))

    def put(self, folder: str, name: str, content: bytes) -> None:
        """Write a whole file into a folder, over one of the same name; an error, GraftError, leaves nothing."""
        with self._explained("written to", "Make room and give write access there"):
            if self._files.type_name in OBJECT_STORES:
                self._write(self._path(folder, name), content)
                return
            for tries_left in reversed(range(TRIES)):
                temporary = self._path(folder, f".{name}.{secrets.token_hex(8)}.tmp")
                try:
                    self._files.create_dir(self._path(folder))
                    # Not synced: after a power cut the file may hold anything, and is found to be damaged.
                    self._write(temporary, content)
                    self._files.move(temporary, self._path(folder, name))
                except (FileNotFoundError, FileExistsError):
                    # The store was deleted meanwhile, as it may be at any time. FileExistsError: pyarrow's create_dir
                    # saw the folder, and then no longer.
                    if not tries_left:
                        raise
                else:
                    return
                finally:
                    with suppress(OSError):
                        self._files.delete_file(temporary)

    def delete(self, folder: str, name: str) -> bool:
        """Delete a file, and tell whether it was there; raises GraftError."""
        with self._explained("pruned", "Give write access there"):
            try:
                self._files.delete_file(self._path(folder, name))
            except FileNotFoundError:
                return False
        return True

    def report_ignored(self, folder: str, reasons: Mapping[str, str]) -> None:
        """Say which files of a folder are ignored, and why; raises GraftError if the store itself is out of reach."""
        if not reasons:
            return
        self.check()
        for name, reason in sorted(reasons.items())[:LINES]:
            say(f"store: {self.name}/{folder}/{name} is ignored: {reason}")
        if len(reasons) > LINES:
            say(f"store: {len(reasons) - LINES:,} more files there are ignored")

    def check(self) -> None:
        """Raise GraftError if the location is a file, has no bucket or cannot be reached; it need not exist yet."""
        with self._explained("read", "Give read access there"):
            kind = self._files.get_file_info(self._root).type
        if kind is fs.FileType.File and self._files.type_name not in OBJECT_STORES:
            message = (
                f"features.store must be a folder; {self.name} is a file. "
                "Move it away, or set features.store to another location."
            )
            raise GraftError(message)
        if self._files.type_name in OBJECT_STORES and not self._has_bucket():
            message = (
                f"features.store is {self.name}, but there is no such bucket. "
                "Create it, or set features.store to another location."
            )
            raise GraftError(message)

    def _path(self, *parts: str) -> str:
        return "/".join([self._root, *parts])

    def _has_bucket(self) -> bool:
        try:
            return self._files.get_file_info(self._root.partition("/")[0]).type is not fs.FileType.NotFound
        except OSError:  # credentials may be good for a folder of a bucket, but not for questions about the bucket
            return True

    def _write(self, path: str, content: bytes) -> None:
        with self._files.open_output_stream(path) as stream:
            stream.write(content)

    @contextmanager
    def _explained(self, action: str, remedy: str) -> Iterator[None]:
        """Turn errors of the file system into a GraftError: the store cannot be `action`, and `remedy` helps."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            if self._files.type_name != "local":
                remedy = "Check its address, the credentials and the network"
            message = (
                f"the feature store {self.name} cannot be {action}: {error_text(error)}. "
                f"{remedy}, or set features.store to another location."
            )
            raise GraftError(message) from error


def default_location(store: str | None) -> str:
    """Return where the store lies: `features.store`, else GRAFT_STORE, else a folder of the user's cache."""
    return store or os.environ.get("GRAFT_STORE") or str(cache_folder() / "features")


def error_text(error: Exception) -> str:
    """Return the reason in an error of pyarrow or of the store: some words on one line."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"(^.*?: (?=AWS Error)| \(Request ID: .*?\))", "", first_line).rstrip(".")
