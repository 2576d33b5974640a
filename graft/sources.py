"""The images to predict: files, folders, patterns and archives, and how their bytes are read."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple, Protocol

from tasks.common.endings import ARCHIVES, has_image_ending
from tasks.common.errors import GraftError, ImageError
from tasks.common.text import printable
from tasks.images.archive_members import DAMAGE, Member, TooLarge, read_members

# An encoded image is smaller than this; a file, and a member of an archive, may claim any size.
MAX_BYTES = 2**30
TOO_LARGE = f"has more than {MAX_BYTES:,} bytes"
MAX_ARCHIVE_BYTES = 2**50


class Source(Protocol):
    """An image by its name, whose bytes can be read."""

    @property
    def name(self) -> str:
        """The name in results."""
        ...

    def read(self) -> bytes:
        """Return the encoded image; raises ImageError if it cannot be read."""
        ...


class FileSource(NamedTuple):
    """An image file."""

    name: str
    path: Path

    def read(self) -> bytes:
        """Return the content of the file; raises ImageError if it cannot be read."""
        try:
            # A named pipe that nobody writes to is empty rather than waited for without end.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor, not a path
                os.set_blocking(descriptor, True)
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    content = file.read(MAX_BYTES + 1)
                elif status.st_size <= MAX_BYTES:
                    content = file.read()
                else:
                    raise ImageError(TOO_LARGE)
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            raise ImageError(message) from error
        if len(content) > MAX_BYTES:
            raise ImageError(TOO_LARGE)
        return content


class ContentSource(NamedTuple):
    """An image that was read already, or the reason why it could not be."""

    name: str
    content: bytes
    error: str = ""

    def read(self) -> bytes:
        """Return the content; raises ImageError if there is none."""
        if self.error:
            raise ImageError(self.error)
        return self.content


@dataclass(frozen=True)
class Images:
    """The images that names on a command line stand for, counted before they are read.

    Attributes:
        files: image files, and archives of images.
        total: number of images, those in archives too.
    """

    files: list[FileSource | Path]
    total: int

    def __iter__(self) -> Iterator[Source]:
        """Yield the images in the order of the names; those of an archive are read here, one by one."""
        for entry in self.files:
            if isinstance(entry, FileSource):
                yield entry
            else:
                yield from _read_archive(entry)


def find_images(names: Iterable[str]) -> Images:
    """Return the images that files, folders, archives and patterns such as `photos/*.jpg` stand for.

    A folder stands for the files below it whose ending is that of a picture, in order, without hidden ones. A file that
    is named itself may have any ending, and is reported if it does not exist.

    Raises:
        GraftError: There are no images, a name is empty, or an archive cannot be read at all.
    """
    files: list[FileSource | Path] = []
    total = 0
    for name in names:
        for path in _expand(name):
            if path.is_dir():
                below = files_below(path)
                files += below
                total += len(below)
            elif path.name.lower().endswith(ARCHIVES) and path.is_file():
                files.append(path)
                total += _count_images(path)
            else:
                files.append(FileSource(str(path), path))
                total += 1
    if not total:
        message = (
            "there are no images to predict. Give image files, folders, archives or patterns such as 'photos/*.jpg'."
        )
        raise GraftError(message)
    return Images(files, total)


def _expand(name: str) -> list[Path]:
    if not name:
        # As a path it would be the working folder, with all that is below it.
        message = "a name of images is empty. Expected a file, a folder, an archive or a pattern."
        raise GraftError(message)
    if has_magic(name) and not os.path.lexists(name):
        matches = sorted(glob(name, recursive=True))  # noqa: PTH207  Path.glob refuses absolute patterns
        if not matches:
            message = f"no file matches '{printable(name)}'. Expected image files, folders or archives."
            raise GraftError(message)
        return [Path(match) for match in matches]
    return [Path(name)]


def files_below(folder: Path) -> list[FileSource]:
    """Return the files below a folder whose ending is that of a picture, in order, without hidden ones.

    A folder that cannot be listed is returned itself, so that its reason is reported.
    """
    sources: list[FileSource] = []

    def keep_unlisted(error: OSError) -> None:
        sources.append(FileSource(error.filename, Path(error.filename)))

    for parent, folders, names in os.walk(folder, onerror=keep_unlisted):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        paths = [Path(parent, name) for name in sorted(names) if not name.startswith(".") and has_image_ending(name)]
        sources += [FileSource(str(path), path) for path in paths]
    return sources


def _members(archive: Path, stack: ExitStack) -> Iterator[Member]:
    """Yield the members of an archive that are pictures."""
    members = read_members(archive, MAX_ARCHIVE_BYTES, stack)
    if members is None:
        message = f"{printable(str(archive))} is no complete zip or tar archive. Fetch or pack it again."
        raise GraftError(message)
    for member in members:
        parts = member.name.split("/")
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
        if member.open is not None and not hidden and has_image_ending(member.name):
            yield member


def _count_images(archive: Path) -> int:
    with ExitStack() as stack:
        try:
            return sum(1 for _ in _members(archive, stack))
        except (*DAMAGE, TooLarge, OSError) as error:
            reason = " ".join(str(error).split())
            message = f"{printable(str(archive))} cannot be read as an archive: {reason}. Fetch or pack it again."
            raise GraftError(message) from error


def _read_archive(archive: Path) -> Iterator[ContentSource]:
    with ExitStack() as stack:
        for member in _members(archive, stack):
            name = f"{archive}/{member.name}"
            if member.open is None:
                continue
            try:
                with member.open() as file:
                    content = file.read(MAX_BYTES + 1)
            except (*DAMAGE, TooLarge, OSError) as error:
                yield ContentSource(name, b"", f"cannot be read from the archive: {' '.join(str(error).split())}")
                continue
            yield ContentSource(name, content, TOO_LARGE if len(content) > MAX_BYTES else "")
