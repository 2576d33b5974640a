"""How far a stage has come, as a progress artifact of its Prefect run."""

import re
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

DONE_OF_TOTAL = re.compile(r": ([\d,]+)/([\d,]+) (\w+)")


class Progress:
    """Follows the lines of one stage; the artifact is there from the first line that says how far it has come."""

    def __init__(self, stage: str) -> None:
        """Take the stage's name, which the artifact's key begins with."""
        self._stage = stage
        self._artifact: UUID | None = None

    def says(self, line: str) -> None:
        """Bring the artifact up to date if the line tells progress: `features: 120/1,797 images, 812/s, 2 s left`."""
        found = DONE_OF_TOTAL.search(line)
        if found is None or not line.startswith(f"{self._stage}: "):
            return
        done, total = (int(number.replace(",", "")) for number in found.group(1, 2))
        percent = 100.0 * min(done, total) / total if total else 100.0
        if self._artifact is None:
            made = create_progress_artifact(
                percent, key=f"{self._stage}-progress", description=f"{found[3]} of the stage {self._stage}"
            )
            self._artifact = cast("UUID", made)  # called outside of an event loop, it is no coroutine
        else:
            update_progress_artifact(self._artifact, percent, description=line.removeprefix(f"{self._stage}: "))
