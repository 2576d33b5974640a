"""Observers of the events of a run, such as the live display; Prefect's log does not depend on them."""

from contextvars import ContextVar

from flows.dvc import Outcome


class RunObserver:
    """Receives the events of a run and ignores them; subclasses show them."""

    def on_wait(self, text: str) -> None:
        """Handle that the run waits; `text` says for what."""

    def on_start(self, stage: str) -> None:
        """Handle the start of a stage."""

    def on_line(self, stage: str, line: str) -> None:
        """Handle a line of a stage's output."""

    def on_end(self, outcome: Outcome) -> None:
        """Handle the end of a stage that succeeded."""

    def on_comparison(self, verdict: str) -> None:
        """Handle the verdict on the run against the last committed one."""

    def on_failure(self, stage: str) -> None:
        """Handle the failure of a stage."""


observer: ContextVar[RunObserver] = ContextVar("observer", default=RunObserver())  # noqa: B039  it has no state
