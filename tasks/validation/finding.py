"""A finding: a sentence that a check has to say about a dataset, with the files that it is about."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Severity = Literal["blocking", "warning", "note"]


class Offender(NamedTuple):
    """A file that a finding is about: its path below the images' folder, its class, its split and a detail in words."""

    path: str
    label: str
    split: str | None
    detail: str


class Finding(NamedTuple):
    """The outcome of a check that does not hold.

    `check` is its name in the params, `message` says in a sentence what was expected and found, `advice` what to do
    next; `offenders` are the files, the worst first, none where the finding is about whole classes; `labels` are these.
    """

    check: str
    severity: Severity
    message: str
    advice: str
    offenders: Sequence[Offender] = ()
    labels: Sequence[str] = ()
