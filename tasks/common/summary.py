"""The summary of a stage: its result in a sentence and its warnings, which are shown where the run was started."""

import json
from pathlib import Path

from tasks.common.progress import say


class Summary:
    """Collects the warnings of a stage; each is also said at once."""

    def __init__(self, stage: str) -> None:
        """Start without warnings."""
        self._stage = stage
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Take in a warning and say it."""
        say(f"{self._stage}: warning: {text}")
        self.warnings.append(text)

    def write(self, folder: Path, headline: str | None) -> None:
        """Say the headline, if there is one, and write summary.json into a folder of the stage's outputs."""
        if headline is not None:
            say(f"{self._stage}: {headline}")
        text = json.dumps({"headline": headline, "warnings": self.warnings}, indent=1, ensure_ascii=False)
        (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
