"""Errors that a user can act on."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum

# The user's disk and rights, not defects of Graft, cause these faults.
FAULTS_OF_THE_DISK = {
    errno.ENOSPC: "Make room there, then run again",
    errno.EDQUOT: "Make room in your quota, then run again",
    errno.EACCES: "Give yourself the right to read and write there, then run again",
    errno.EPERM: "Give yourself the right to read and write there, then run again",
    errno.EROFS: "Make the disk writable, then run again",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f), then run again",
    errno.ENAMETOOLONG: "Give a shorter name",
}


class GraftError(Exception):
    """Bad input; the message is one line: what was expected, what was found, what to do next."""

    exit_code = 1


class ParamsError(GraftError):
    """A key or a value of params.yaml that cannot be used."""


class QuarantineKind(StrEnum):
    """Why a file is set aside: the values of the column `kind` in the manifest and in quarantine.csv."""

    NO_CLASS = "no_class"
    LINK = "link"
    SPECIAL_FILE = "special_file"
    MISSING = "missing"
    BAD_NAME = "bad_name"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown_format"
    TOO_LARGE = "too_large"
    DAMAGED = "damaged"
    TOO_SMALL = "too_small"
    CONFLICTING_LABEL = "conflicting_label"
    CONFLICTING_SPLIT = "conflicting_split"
    COPY = "copy"
    DROPPED = "dropped"
    NOT_LISTED = "not_listed"
    UNLABELLED = "unlabelled"
    OTHER_FILE = "other_file"
    EMPTY_FOLDER = "empty_folder"


class ImageError(GraftError):
    """An image that cannot be used; the message is the reason alone, because the caller knows the path."""

    # The default lets the processes of a cluster unpickle the error; `kind` is restored afterwards.
    def __init__(self, reason: str, kind: QuarantineKind = QuarantineKind.UNREADABLE) -> None:
        """Give the reason as a sentence and as a kind."""
        super().__init__(reason)
        self.kind = kind


class GateError(GraftError):
    """A check whose failure stops the run."""


class DownloadError(GraftError):
    """A download that failed for a reason that may be temporary; its exit code is EX_TEMPFAIL of sysexits.h."""

    exit_code = 75


def explain_fault_of_the_disk(error: OSError) -> str | None:
    """Return a sentence for a full disk or a missing right, and what to do; None for any other error."""
    remedy = FAULTS_OF_THE_DISK.get(error.errno or 0)
    if remedy is None:
        return None
    return f"{error.filename or 'a file'} cannot be used: {error.strerror}. {remedy}."


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Suggest the nearest allowed name, in a sentence with a leading space; return "" if none is similar enough."""
    by_lower = {candidate.lower(): candidate for candidate in allowed}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[matches[0]]}'?" if matches else ""
