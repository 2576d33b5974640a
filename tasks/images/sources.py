"""The folder of a dataset's images, whether the source is a folder or an archive."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from tasks.common.endings import ARCHIVES
from tasks.common.errors import GraftError
from tasks.common.files import atomic_folder, cache_folder
from tasks.common.hashing import hash_file
from tasks.common.progress import say
from tasks.common.text import printable
from tasks.images.archive import extract, is_archive

EXPECTED = f"Expected a folder of images or an archive ({', '.join(ARCHIVES)}): set dataset.source"


def image_folder(source: Path) -> Path:
    """Return the folder with the images of a source; raises GraftError if there is none.

    An archive is extracted once into the cache folder, under its SHA-256. If it holds everything in a single folder,
    or in one inside another, the innermost of these that holds folders is returned.
    """
    if source.is_dir():
        return source
    shown = printable(str(source))
    if not source.exists():
        message = f"{shown} is missing. {EXPECTED} in params.yaml."
        raise GraftError(message)
    if not source.is_file() or not is_archive(source):
        if source.is_file() and source.name.lower().endswith(ARCHIVES):
            message = f"{shown} is no complete zip or tar archive. Fetch or pack it again."
            raise GraftError(message)
        message = f"{shown} is neither a folder nor an archive. {EXPECTED} in params.yaml."
        raise GraftError(message)
    folder = cache_folder() / "archives" / hash_file(source)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # A second process waits and then finds the folder complete.
        with FileLock(folder.with_suffix(".lock")):
            if not folder.exists():
                say(f"extraction: {shown} to {printable(str(folder))}")
                with atomic_folder(folder) as temporary:
                    extract(source, temporary)
    return _innermost_folder(folder)


@contextmanager
def errors_with_source(source: Path, folder: Path) -> Iterator[None]:
    """Let errors about `folder`, the content of `source`, name the source; an archive's folder lies in the cache."""
    try:
        yield
    except GraftError as error:
        if source == folder:
            raise
        message = str(error).replace(printable(str(folder)), printable(str(source)))
        raise GraftError(message) from error


def _innermost_folder(folder: Path) -> Path:
    inner = _single_folder(folder)
    while inner is not None:
        folder, inner = inner, _single_folder(inner)
        # A folder without folders in it is a class.
        if inner is not None and not any(path.is_dir() for path in _visible(inner)):
            break
    return folder


def _single_folder(folder: Path) -> Path | None:
    visible = _visible(folder)
    return visible[0] if len(visible) == 1 and visible[0].is_dir() else None


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != "__MACOSX" and not path.name.startswith(".")]
