"""The segments in a folder of the store, read several at a time."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from tasks.common.threads import ordered_map
from tasks.store.header import DamagedError, Reader
from tasks.store.location import Entry, Location, error_text
from tasks.store.segment import NAME

READERS = 8
Result = TypeVar("Result")


def is_segment(entry: Entry) -> bool:
    """Tell whether an entry of a collection's folder has the name of a segment; other files are not the store's."""
    return not entry.is_folder and NAME.fullmatch(entry.name) is not None


def list_segments(location: Location, folder: str) -> list[Entry]:
    """Return the segments in a folder, by name; none if there is no such folder. Raises GraftError."""
    return [entry for entry in location.entries(folder) if is_segment(entry)]


def read_segments(
    location: Location, folder: str, segments: Sequence[Entry], read: Callable[[Reader, int], Result]
) -> tuple[dict[Entry, Result], dict[str, str]]:
    """Apply `read`, which takes an open file and its size, to segments of a folder.

    Returns:
        The results by segment, in order, and the reasons by name for the segments that cannot be used. A segment that
        was deleted meanwhile is in neither.
    """

    def read_one(segment: Entry) -> Result | str | None:
        try:
            with location.open(folder, segment.name) as file:
                return read(file, segment.size)
        except FileNotFoundError:
            return None
        except (DamagedError, OSError) as error:
            return error_text(error)

    results: dict[Entry, Result] = {}
    reasons: dict[str, str] = {}
    for segment, result in zip(segments, ordered_map(read_one, segments, READERS, ahead=8 * READERS), strict=True):
        if isinstance(result, str):
            reasons[segment.name] = result
        elif result is not None:
            results[segment] = result
    return results, reasons
