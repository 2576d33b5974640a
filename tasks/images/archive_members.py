"""The members of zip and tar archives, read without trust in their headers."""

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

# tarfile reads the extended headers of a member at once, whatever their size; real ones take kilobytes.
MAX_READ = 16 * 2**20
ZIP_HEADER_BYTES = 30
ENCRYPTED = 0x1
DECOMPRESSORS: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),  # type: ignore[dict-item,return-value]
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
# The types that the standard library raises for archives that are damaged or use features that it lacks.
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, struct.error),
    *(EOFError, ValueError, OverflowError, NotImplementedError),
)


class TooLarge(Exception):  # noqa: N818  It says that a limit was reached; `archive` makes an error of it.
    """The archive expands to more than it may."""


class Member(NamedTuple):
    """A member of an archive: its name, what it is, and how to read it.

    `open` is None for folders, links and special files. `end` says how many bytes of the archive have been read when
    the member is.
    """

    name: str
    is_folder: bool
    open: Callable[[], IO[bytes]] | None
    end: int


def read_members(archive: Path, limit: int, stack: ExitStack) -> Iterator[Member] | None:
    """Return the members of an archive, which stays open until `stack` is closed; None if it is neither zip nor tar.

    Raises:
        TooLarge: Now or later, a tar archive expands to more than `limit` bytes, also if that lies in skipped members.
        DAMAGE: Now or later, the archive turns out to be damaged.
    """
    tar = _open_tar(archive, limit, stack)
    if tar is not None:
        return _tar_members(*tar)
    if zipfile.is_zipfile(archive):
        return _zip_members(stack.enter_context(zipfile.ZipFile(archive)))
    return None


class _BoundedFile:
    """The expanded bytes of a tar archive, up to a limit."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit = file, limit

    def read(self, size: int) -> bytes:
        if size > MAX_READ or self._file.tell() > self._limit:
            raise TooLarge
        return self._file.read(size)

    def seek(self, position: int) -> int:
        if position > self._limit:
            raise TooLarge
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()


def _open_tar(archive: Path, limit: int, stack: ExitStack) -> tuple[tarfile.TarFile, IO[bytes]] | None:
    raw = stack.enter_context(archive.open("rb"))
    head = raw.read(max(map(len, DECOMPRESSORS)))
    raw.seek(0)
    decompress = next((opened for magic, opened in DECOMPRESSORS.items() if head.startswith(magic)), None)
    file = raw if decompress is None else stack.enter_context(decompress(raw))
    try:
        tar = tarfile.TarFile(fileobj=_BoundedFile(file, limit))  # type: ignore[arg-type]
    except tarfile.ReadError:
        if decompress is None:
            return None
        raise
    return stack.enter_context(tar), raw


def _tar_members(tar: tarfile.TarFile, raw: IO[bytes]) -> Iterator[Member]:
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # It would keep those read so far in memory.
        opened = None
        if member.isreg():

            def opened(member: tarfile.TarInfo = member) -> IO[bytes]:
                return tar.extractfile(member)  # type: ignore[return-value]

        yield Member(member.name, member.isdir(), opened, raw.tell())


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    members = sorted(archive.infolist(), key=lambda member: member.header_offset)
    for member, following in pairwise(members):
        if following.header_offset < member.header_offset + ZIP_HEADER_BYTES + member.compress_size:
            message = f"'{following.filename}' overlaps '{member.filename}'"
            raise zipfile.BadZipFile(message)
    for member in members:
        mode = member.external_attr >> 16
        opened = None
        if not member.is_dir() and stat.S_IFMT(mode) in {0, stat.S_IFREG}:

            def opened(member: zipfile.ZipInfo = member) -> IO[bytes]:
                if member.flag_bits & ENCRYPTED:
                    message = f"'{member.filename}' is encrypted"
                    raise NotImplementedError(message)
                return archive.open(member)

        # Some programs on Windows write backslashes between folders.
        name = member.filename.replace("\\", "/")
        yield Member(name, name.endswith("/"), opened, member.header_offset + member.compress_size)
