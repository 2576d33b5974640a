"""The folder of a dataset's images, whether the source is a folder or an archive."""

from pathlib import Path

from tasks.common.errors import GraftError


def image_folder(source: Path) -> Path:
    """Return the folder with the images of a source; raises GraftError if there is none."""
    if not source.is_dir():
        message = f"{source} is not a folder. Set dataset.source in params.yaml."
        raise GraftError(message)
    return source
