"""The live display of a run on a terminal; plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from flows.dvc import Outcome
from flows.observer import RunObserver

SYMBOLS = {"ran": "[green]✓[/]", "restored": "[cyan]↺[/]", "up to date": "[dim]·[/]"}


class LiveDisplay(RunObserver):
    """Shows each stage of a run: a live table on a terminal, one line a stage elsewhere."""

    def __init__(self, console: Console) -> None:
        """Show the run on that console."""
        self.verdict: str | None = None
        self._console = console
        self._ended: list[tuple[str, str, str, str]] = []
        self._running: tuple[str, float] | None = None
        self._line = ""
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        """Start drawing."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draw once more and stop."""
        self._running = None
        if self._console.is_terminal:
            self._live.stop()

    def on_wait(self, text: str) -> None:
        """Show what the run waits for."""
        self._console.print(Text(text, style="yellow"), soft_wrap=True)

    def on_start(self, stage: str) -> None:
        """Show a stage as running."""
        self._running, self._line = (stage, time.monotonic()), ""

    def on_line(self, stage: str, line: str) -> None:
        """Show the latest progress line of the running stage; DVC's own messages go to the log alone."""
        if line.startswith(f"{stage}: "):
            self._line = line.removeprefix(f"{stage}: ")

    def on_end(self, outcome: Outcome) -> None:
        """Show how a stage ended."""
        self._finish(SYMBOLS[outcome.how], outcome.stage, outcome.how, f"{outcome.seconds:.1f} s")

    def on_comparison(self, verdict: str) -> None:
        """Keep the verdict for the summary of the run."""
        self.verdict = verdict

    def on_failure(self, stage: str) -> None:
        """Show that a stage failed."""
        self._finish("[red]✗[/]", stage, "failed", "")

    def _finish(self, symbol: str, stage: str, how: str, seconds: str) -> None:
        self._running = None
        self._ended.append((symbol, stage, how, seconds))
        if not self._console.is_terminal:
            last_line = f" - {self._line}" if self._line and how == "ran" else ""
            self._console.print(Text(f"{stage}: {how} {seconds}".rstrip() + last_line), soft_wrap=True)

    def _draw(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for row in self._ended:
            table.add_row(*row)
        if self._running is None:
            return Group(table)
        stage, start = self._running
        table.add_row(Spinner("dots"), stage, "running", f"{time.monotonic() - start:.0f} s")
        return Group(table, Text(f"   {self._line}", style="dim", overflow="ellipsis", no_wrap=True))
