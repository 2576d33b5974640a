"""The progress of a stage, as a progress artifact of its Prefect run."""

import re
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

DONE_OF_TOTAL = re.compile(r": ([\d,]+)/([\d,]+) (\w+)")


class ProgressArtifact:
    """The progress artifact of one stage, created by the first line of its output that states progress."""

    def __init__(self, stage: str) -> None:
        """Take the stage's name, which the artifact's key begins with."""
        self._stage = stage
        # Prefect allows lower-case letters, digits and dashes in a key.
        self._key = re.sub("[^a-z0-9]+", "-", f"{stage}-progress".lower())
        self._artifact: UUID | None = None

    def update(self, line: str) -> None:
        """Update the artifact if the line states progress: `features: 120/1,797 images, 812/s, 2 s left`."""
        match = DONE_OF_TOTAL.search(line)
        if match is None or not line.startswith(f"{self._stage}: "):
            return
        done, total = (int(number.replace(",", "")) for number in match.group(1, 2))
        percent = 100.0 * min(done, total) / total if total else 100.0
        if self._artifact is None:
            created = create_progress_artifact(
                percent, key=self._key, description=f"{match[3]} of the stage {self._stage}"
            )
            self._artifact = cast("UUID", created)  # the function returns a coroutine only inside an event loop
        else:
            update_progress_artifact(self._artifact, percent, description=line.removeprefix(f"{self._stage}: "))
