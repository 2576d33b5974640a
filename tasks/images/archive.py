"""Extraction of archives: only inside the given folder, and only up to a limit of size."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from tasks.common.errors import GraftError
from tasks.common.progress import say, track
from tasks.common.text import count, printable
from tasks.images.archive_members import DAMAGE, Member, TooLarge, read_members

# An archive may expand to the larger of these. Images are compressed already, so archives of them expand little.
MAX_RATIO = 100
MAX_BYTES_OF_SMALL_ARCHIVES = 10**9
MAX_MEMBERS = 10_000_000
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 2000
CHUNK_BYTES = 2**20
MAX_SHOWN = 100  # characters of a name in a message


def is_archive(path: Path) -> bool:
    """Say whether a file is a zip or tar archive, the latter plain or compressed by gzip, bzip2 or xz.

    Its suffix does not count. A compressed file that holds no tar archive raises GraftError.
    """
    with ExitStack() as stack, _name_faults(path):
        return read_members(path, _limit(path), stack) is not None


def extract(archive: Path, folder: Path) -> None:
    """Extract the files of a zip or tar archive into an existing, empty folder, and say how many there were.

    Links and special files are skipped and counted. Modes, owners and times are not restored.

    Raises:
        GraftError: It is no archive, damaged, encrypted or too large, or a member cannot be written or would lie
            outside the folder. The files before that member remain.
    """
    limit, free = _limit(archive), shutil.disk_usage(folder).free
    files = skipped = written = 0
    with ExitStack() as stack, _name_faults(archive):
        members = read_members(archive, limit, stack)
        if members is None:
            raise _refusal(archive, "is neither a zip nor a tar archive", "Give an archive of one of these kinds")
        for number, member in enumerate(_show_progress(members, archive.stat().st_size)):
            if number >= MAX_MEMBERS:
                raise _refusal(archive, f"holds more than {MAX_MEMBERS:,} members", "Split it")
            path = folder / _check_name(archive, member.name)
            with _name_faults(archive, member.name):
                if member.is_folder:
                    path.mkdir(parents=True, exist_ok=True)
                elif member.open is None:
                    skipped += 1
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with member.open() as content, path.open("xb") as file:
                        written += _copy(content, file, limit - written, free - written)
                    files += 1
    note = f", {count(skipped, 'link or special file', 'links and special files')} skipped" if skipped else ""
    say(f"extraction: {count(files, 'file')} of {printable(archive.name)}{note}")


def _limit(archive: Path) -> int:
    return max(MAX_RATIO * archive.stat().st_size, MAX_BYTES_OF_SMALL_ARCHIVES)


def _copy(source: IO[bytes], target: IO[bytes], limit: int, free: int) -> int:
    """Copy a member and return its size; the bytes are counted, because a header may state less."""
    size = 0
    while chunk := source.read(CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise TooLarge
        if size > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        target.write(chunk)
    return size


def _check_name(archive: Path, name: str) -> PurePosixPath:
    """Return the member's path below the folder."""
    path = PurePosixPath(name)
    reason = None
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:[/\\]", name):
        reason = "would lie outside the folder"
    elif any(len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES for part in path.parts):
        reason = f"has a name of more than {MAX_NAME_BYTES} bytes"
    elif len(name) > MAX_PATH_BYTES:
        reason = f"has a path of more than {MAX_PATH_BYTES:,} characters"
    if reason:
        raise _refusal(archive, f"holds '{_shorten(name)}', which {reason}", "Rename the file and pack it again")
    return path


@contextmanager
def _name_faults(archive: Path, member: str | None = None) -> Iterator[None]:
    """Turn errors of the archive, or of writing a member, into a GraftError that names them."""
    fault, remedy = "cannot be read", "Give yourself the right to read it"
    if member is not None:
        fault = f"holds '{_shorten(member)}', which cannot be extracted"
        remedy = "Make room, or set GRAFT_CACHE to a folder on a larger disk"
    try:
        yield
    except TooLarge:
        gigabytes = _limit(archive) / 1e9
        problem = f"expands to more than {gigabytes:,.1f} GB, as decompression bombs do"
        raise _refusal(
            archive, problem, "If it is none, extract it yourself and set dataset.source to the folder"
        ) from None
    except (FileExistsError, NotADirectoryError) as error:
        if not error.filename or not str(error.filename).endswith(f"/{PurePosixPath(member or '')}"):
            problem = f"holds '{_shorten(member or '')}' in a folder whose name is also that of a file"
            raise _refusal(archive, problem, "Rename the file and pack it again") from error
        problem = f"holds '{_shorten(member or '')}' twice"
        raise _refusal(archive, problem, "Pack each file once") from error
    except DAMAGE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if "encrypted" in text:
            raise _refusal(
                archive, "is encrypted", "Extract it yourself and set dataset.source to the folder"
            ) from error
        raise _refusal(archive, f"is damaged: {printable(text)}", "Fetch or pack it again") from error
    except OSError as error:
        raise _refusal(archive, f"{fault}: {error.strerror or error}", f"{remedy}, then run again") from error


def _show_progress(members: Iterator[Member], total: int) -> Iterator[Member]:
    end = 0

    def advance(member: Member) -> int:
        nonlocal end
        step = max(0, min(member.end, total) - end)
        end += step
        return step

    return track(members, total, "extraction", "bytes", advance)


def _shorten(name: str) -> str:
    text = printable(name)
    return text if len(text) <= MAX_SHOWN else f"{text[:60]}...{text[-30:]}"


def _refusal(archive: Path, problem: str, remedy: str) -> GraftError:
    return GraftError(f"{printable(str(archive))} {problem}. {remedy}.")
