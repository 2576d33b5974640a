"""Errors that a user can act on."""

from collections.abc import Iterable
from difflib import get_close_matches


class GraftError(Exception):
    """Bad input, told in one line: what was expected, what was found, what to do next."""

    exit_code = 1


class ParamsError(GraftError):
    """A key or a value of params.yaml that cannot be used."""


class ImageError(GraftError):
    """One image that cannot be used; the text is the reason alone, the caller knows the path."""


class GateError(GraftError):
    """A check whose failure stops the run."""


class DownloadError(GraftError):
    """A download that failed for a reason that may pass; the exit code is sysexits' EX_TEMPFAIL."""

    exit_code = 75


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """Name the nearest allowed word, as a sentence with a leading space; empty when none is near."""
    by_lower = {word.lower(): word for word in allowed}
    matches = get_close_matches(found.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[matches[0]]}'?" if matches else ""
