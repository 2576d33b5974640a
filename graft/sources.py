"""The images to predict: where their bytes come from."""

from pathlib import Path
from typing import NamedTuple, Protocol

from tasks.common.errors import ImageError


class Source(Protocol):
    """An image by its name, whose bytes can be read."""

    @property
    def name(self) -> str:
        """The name in results."""
        ...

    def read(self) -> bytes:
        """Return the encoded image; raises ImageError if it cannot be read."""
        ...


class FileSource(NamedTuple):
    """An image file."""

    name: str
    path: Path

    def read(self) -> bytes:
        """Return the content of the file; raises ImageError if it cannot be read."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            raise ImageError(message) from error
