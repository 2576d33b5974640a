"""HDF5 files from elsewhere: list their contents, and refuse what is hostile or damaged, before a value is read."""

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tasks.common.errors import GraftError

# The largest network of keras.applications has some 5,000 groups and datasets, and 64 kB of names in an attribute.
MAX_OBJECTS = 100_000
MAX_NAMES_BYTES = 1 << 20
# HDF5 reads whole chunks: a chunk larger than its dataset takes memory that the dataset's shape does not announce.
MAX_IDLE_CHUNK_BYTES = 1 << 20
MAX_PRINTED_NAME = 100
# HDF5 1.14 never returns from some damaged strings in attributes, and asks for 4 GB for others. Therefore another
# process, which can be stopped, reads them first.
ATTRIBUTE_CHECK = """import sys, h5py
def read(_, item): [*item.attrs.values()]
with h5py.File(sys.argv[1], "r") as file: read("/", file), file.visititems(read)"""


class RefusedError(Exception):
    """A file holds something that it must not; the argument completes the sentence "The file ..."."""


@contextmanager
def checked(path: Path) -> Iterator[None]:
    """Turn RefusedError, and every error that h5py was seen to raise for a damaged file, into a GraftError."""
    try:
        yield
    except RefusedError as error:
        raise refusal(path, str(error)) from error
    except (KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError, subprocess.SubprocessError) as error:
        message = f"{path} is not a readable HDF5 file. Expected Keras weights (.h5); fetch or copy the file again."
        raise GraftError(message) from error


def refusal(path: Path, reason: str) -> GraftError:
    """Return the error that tells users why a file is refused."""
    return GraftError(f"{path} {reason}, which is refused. Use a file without.")


def quoted(name: str) -> str:
    """Return a name from a file in quotes, shortened and escaped to be printed in a line."""
    return repr(name if len(name) <= MAX_PRINTED_NAME else name[:MAX_PRINTED_NAME] + "...")


def walk_datasets(file: h5py.File) -> Iterator[h5py.Dataset]:
    """Yield all datasets of a file; raises RefusedError for links and for anything but plain numbers."""
    pending: list[h5py.Group] = [file]
    addresses, objects = set(), 0
    while pending:
        group = pending.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in addresses:
            continue
        addresses.add(address)
        objects += len(group)
        check_count(objects)
        for key in group:
            name = f"{group.name.rstrip('/')}/{key}"
            if not isinstance(group.get(key, h5py.HardLink(), getlink=True), h5py.HardLink):
                message = f"holds a link at {quoted(name)}"
                raise RefusedError(message)
            child = group[key]
            if isinstance(child, h5py.Group):
                pending.append(child)
            else:
                _check_dataset(child, name)
                yield child


def check_count(objects: int) -> None:
    """Raise RefusedError for more groups, datasets and weights than any network has."""
    if objects > MAX_OBJECTS:
        message = f"holds more than {MAX_OBJECTS:,} groups, datasets and weights"
        raise RefusedError(message)


def check_attributes(path: Path, seconds: float) -> None:
    """Read all attributes in another process; raises a SubprocessError when it fails or takes longer than that."""
    command = [sys.executable, "-I", "-c", ATTRIBUTE_CHECK, str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=seconds)


def has_names(group: h5py.Group, attribute: str) -> bool:
    """Tell whether a group has that list of names, whole or in pieces."""
    return bool(_pieces(group, attribute))


def read_names(group: h5py.Group, attribute: str) -> list[str]:
    """Return the strings of an attribute, its pieces joined; raises RefusedError for other or repeated values."""
    strings: list[str] = []
    for piece in _pieces(group, attribute):
        header = group.attrs.get_id(piece)
        size = math.prod(header.shape) * header.dtype.itemsize
        if size == 0:  # Keras writes an empty list as an array of numbers
            continue
        if h5py.check_string_dtype(header.dtype) is None or size > MAX_NAMES_BYTES:
            message = f"holds something other than names in {quoted(piece)}"
            raise RefusedError(message)
        values = np.ravel(group.attrs[piece]).tolist()
        strings += [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]
    if len({string.replace("/", "_") for string in strings}) < len(strings):
        message = f"lists a name twice in {quoted(attribute)}"
        raise RefusedError(message)
    return strings


def get_child(group: h5py.Group, name: str, kind: type) -> Any:
    """Return the group or dataset of that name; raises RefusedError when there is none of that kind."""
    item = group.get(name)
    if not isinstance(item, kind):
        message = f"lists {quoted(name)} but does not hold it"
        raise RefusedError(message)
    return item


def _check_dataset(item: Any, name: str) -> None:
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu" or item.shape is None:
        message = f"holds something other than numbers at {quoted(name)}"
        raise RefusedError(message)
    if item.external or item.is_virtual:
        message = f"stores {quoted(name)} in another file"
        raise RefusedError(message)
    if item.chunks and math.prod(item.chunks) * item.dtype.itemsize > max(item.nbytes, MAX_IDLE_CHUNK_BYTES):
        message = f"stores {quoted(name)} in chunks larger than itself"
        raise RefusedError(message)


def _pieces(group: h5py.Group, attribute: str) -> list[str]:
    """Return the names of an attribute's pieces: Keras cuts a list too long for HDF5 into NAME0, NAME1, ..."""
    pieces = [attribute] if attribute in group.attrs else (f"{attribute}{number}" for number in count())
    return list(takewhile(group.attrs.__contains__, pieces))
