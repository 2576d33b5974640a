"""A file that is not complete yet, with a note that says which version of which URL its bytes belong to."""

import json
from pathlib import Path
from typing import NamedTuple

from tasks.common.files import atomic_file


class PartialFile(NamedTuple):
    """The bytes that have arrived so far, in the file `path`; the note is `<path>.json` beside it.

    The note is written when a download starts from the beginning, before the first byte, and removed when the download
    is complete, so it never describes bytes of another version.
    """

    path: Path

    @property
    def size(self) -> int:
        """Number of bytes that have arrived; 0 when there is no file."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def read_validator(self, url: str) -> str | None:
        """Return the HTTP validator of the version that the bytes belong to.

        None when that is not known: the note is missing, damaged, without a validator, or about another URL.
        """
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        match note:
            case {"url": noted_url, "validator": str(validator)} if noted_url == url:
                return validator
        return None

    def write_note(self, url: str, validator: str | None) -> None:
        """Note the URL and the HTTP validator of the version that is about to be downloaded."""
        with atomic_file(self._note) as temporary:
            temporary.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def remove_note(self) -> None:
        """Remove the note of a download that is complete."""
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the bytes and the note."""
        self.path.unlink(missing_ok=True)
        self.remove_note()

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")
