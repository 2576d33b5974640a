"""What a run tells whoever watches it, besides Prefect."""

from contextvars import ContextVar
from typing import Protocol

from flows.stage import Outcome


class Watcher(Protocol):
    """Somebody who is told of a run as it happens."""

    def waits(self, text: str) -> None:
        """Tell that the run waits, and for what."""

    def starts(self, stage: str) -> None:
        """Tell that a stage starts."""

    def says(self, stage: str, line: str) -> None:
        """Pass on a line of a stage's output."""

    def ends(self, outcome: Outcome) -> None:
        """Tell how a stage ended."""

    def fails(self, stage: str) -> None:
        """Tell that a stage failed."""


class Nobody:
    """The watcher of a run that nobody watches."""

    def waits(self, text: str) -> None:
        """Ignore it."""

    def starts(self, stage: str) -> None:
        """Ignore it."""

    def says(self, stage: str, line: str) -> None:
        """Ignore it."""

    def ends(self, outcome: Outcome) -> None:
        """Ignore it."""

    def fails(self, stage: str) -> None:
        """Ignore it."""


watcher: ContextVar[Watcher] = ContextVar("watcher", default=Nobody())  # noqa: B039  Nobody has no state
