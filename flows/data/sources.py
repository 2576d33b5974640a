"""Putting a dataset under DVC: a folder, a table or an archive on this machine, or an address to download it from."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from flows import dvc
from flows.data import layout
from tasks.common.endings import ARCHIVES, TABLES
from tasks.common.errors import GraftError
from tasks.common.text import join, printable

FOLDER = "data"
SCHEMES = ("https", "http", "s3")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Source(NamedTuple):
    """A dataset as the params name it: `dataset.source` and `dataset.table`."""

    source: str
    table: str | None = None

    def changes(self) -> list[tuple[str, object]]:
        """Return the changes to params.yaml that choose this dataset."""
        return [("dataset.source", self.source), ("dataset.table", self.table)]


def local_source(location: Path, root: Path) -> Source:
    """Return the source for a path: a folder, an archive, or a table beside its images.

    Raises GraftError when nothing is there, or when the file is neither an archive nor a table.
    """
    shown = printable(str(location))
    if location.is_dir():
        return Source(source_of(location.resolve(), root))
    if not location.exists():
        message = f"{shown} does not exist. Expected a folder, a table ({join(TABLES, 'or')}) or an archive."
        raise GraftError(message)
    if location.name.lower().endswith(TABLES):
        return Source(source_of(location.resolve().parent, root), location.name)
    if location.name.lower().endswith(ARCHIVES):
        return Source(source_of(location.resolve(), root))
    kinds = f"a folder, a table ({join(TABLES, 'or')}) or an archive ({join(ARCHIVES, 'or')})"
    message = f"{shown} is no dataset. Expected {kinds}."
    raise GraftError(message)


def add(location: str, name: str | None, table: str | None, root: Path, say: Callable[[str], None]) -> Source:
    """Put the dataset at a path or an address under DVC and return its source.

    Data from outside `root` are copied to data/NAME; `name` is by default that of the folder or file. `table` is the
    name of a table below the source. `say` gets lines about the progress.

    Raises:
        GraftError: The location cannot be used, the name is taken, or DVC fails.
    """
    if "://" in location:
        return Source(_import(location, name, root, say), table)
    path = Path(location).expanduser()
    source = local_source(path, root)
    data = path.resolve().parent if source.table and path.is_file() else path.resolve()
    if source.table is None and table is None:
        layout.check_layout(path, root)
    layout.check_names(root, str(data))
    if data.is_relative_to(root) and name is None:
        say(f"putting {printable(source.source)} under DVC ...")
        dvc.add(root, data, source.source)
        return Source(source.source, source.table or table)
    out = _free_name(name or _default_name(data.name), data.name, root)
    say(f"copying {printable(str(data))} to {out} and putting it under DVC ...")
    dvc.add(root, data, out)
    return Source(out, source.table or table)


def _import(url: str, name: str | None, root: Path, say: Callable[[str], None]) -> str:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        message = f"{parts.scheme}:// cannot be read. Expected a path or an address with {join(SCHEMES, 'or')}."
        raise GraftError(message)
    if parts.password or parts.username:
        message = (
            "the address holds a user name or a password, which would be written into a file under version control. "
            "Leave them out; `dvc remote modify` keeps credentials outside of git."
        )
        raise GraftError(message)
    file_name = PurePosixPath(parts.path).name
    if parts.scheme != "s3" and not file_name.lower().endswith(ARCHIVES):
        message = (
            f"{url} names no archive. Expected a file that ends in {join(ARCHIVES, 'or')}: folders cannot be listed."
        )
        raise GraftError(message)
    if parts.scheme == "s3" and find_spec("dvc_s3") is None:
        message = "s3:// needs an extra. Run `pip install 'graft[s3]'`."
        raise GraftError(message)
    out = _free_name(name or _default_name(file_name), file_name, root)
    say(f"downloading {url} to {out} and putting it under DVC ...")
    dvc.import_url(root, url, out)
    return out


def _default_name(file_name: str) -> str:
    """Return the name without the endings of archives, with a hyphen in the place of each run of other characters."""
    stem = file_name.removesuffix(_archive_ending(file_name))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "images"


def _free_name(name: str, file_name: str, root: Path) -> str:
    if not NAME.fullmatch(name):
        message = f"--name is '{printable(name)}'; expected letters, digits, dots, hyphens and underscores."
        raise GraftError(message)
    out = f"{FOLDER}/{name.removesuffix(_archive_ending(name))}{_archive_ending(file_name).lower()}"
    if (root / out).exists() or (root / f"{out}.dvc").exists():
        message = f"{out} exists already. Choose another --name, or remove it with `dvc remove --outs {out}.dvc`."
        raise GraftError(message)
    return out


def _archive_ending(file_name: str) -> str:
    matches = [ending for ending in ARCHIVES if file_name.lower().endswith(ending)]
    return file_name[-len(max(matches, key=len)) :] if matches else ""


def source_of(folder: Path, root: Path) -> str:
    """Return a resolved folder as the value of `dataset.source`: relative to `root` if it lies below it."""
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)


def outside_notice(source: str, root: Path) -> str | None:
    """Return what DVC does and does not do for a source outside the repository; None for one inside it."""
    if not Path(source).is_absolute() or Path(source).is_relative_to(root):
        return None
    return (
        f"{printable(source)} lies outside the repository. DVC notices when its files change and runs what "
        "depends on them, but keeps no versions of them: an older commit does not bring older images back. "
        f"`graft data add {printable(source)}` copies them here and versions them."
    )
