"""The paths that the stage reads."""

from pathlib import Path
from typing import NamedTuple


class Inputs(NamedTuple):
    """The images, and what the stages before this one wrote about them.

    `images` is the source of the dataset, `manifest`, `accepted`, `quarantine` and `features` are files of the stages
    `dataset`, `validation` and `features`. `validation` is the summary of that stage, and `backbone` its JSON file.
    `head`, `finetuning` and `export` are the folders of these stages.
    """

    images: Path
    manifest: Path
    accepted: Path
    quarantine: Path
    validation: Path
    backbone: Path
    features: Path
    head: Path
    finetuning: Path
    export: Path

    @property
    def model(self) -> Path:
        """The exported file."""
        return self.export / "model.onnx"
