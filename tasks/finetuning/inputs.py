"""The files that fine-tuning starts from."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from tasks.common.errors import GraftError
from tasks.common.files import require


class Inputs(NamedTuple):
    """The images, the accepted ones among them, the folders of the stages `backbone` and `head`, and the features."""

    images: Path
    accepted: Path
    backbone: Path
    head: Path
    features: Path

    def backbone_facts(self) -> dict[str, Any]:
        """Return what backbone.json says.

        Raises:
            GraftError: The file is missing, or the backbone is an ONNX encoder, which cannot be trained.
        """
        text = require(self.backbone / "backbone.json", "backbone").read_text(encoding="utf-8")
        facts: dict[str, Any] = json.loads(text)
        if facts["mode"] == "encoder":
            message = (
                f"fine-tuning needs a Keras network, and backbone.name {facts['name']} is an ONNX encoder. "
                "Set finetuning.enabled to false."
            )
            raise GraftError(message)
        return facts

    def temperature(self) -> float:
        """Return the temperature of the head, by which the logits of the start are to be divided."""
        choice = json.loads(require(self.head / "choice.json", "head").read_text(encoding="utf-8"))
        return float(choice["temperature"])

    def deciding_files(self) -> list[Path]:
        """Return the files whose content decides the result; the images count by their hashes in `accepted`."""
        keras_files = [self.backbone / "keras" / f"base{ending}" for ending in (".json", ".weights.h5")]
        head_files = [
            self.head / f"{name}{ending}" for name in ("head", "start") for ending in (".json", ".weights.h5")
        ]
        return [
            self.accepted,
            self.features,
            self.backbone / "backbone.onnx",
            *keras_files,
            *(require(file, "head") for file in head_files),
            self.head / "head.onnx",
            self.head / "choice.json",
        ]
