"""The files that the stage reads: what training made, and the images."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from tasks.common.files import require
from tasks.common.hashing import hash_file
from tasks.onnx import graphs
from tasks.onnx.canonical_form import canonical


class Inputs(NamedTuple):
    """Paths: images, the table of accepted images, and the folders of the stages `backbone` and `finetuning`."""

    images: Path
    accepted: Path
    backbone: Path
    tuned: Path

    @property
    def is_tuned(self) -> bool:
        """Whether fine-tuning changed the base."""
        return (self.tuned / "backbone.onnx").exists()

    @property
    def base_folder(self) -> Path:
        """The folder with the base in use, `backbone.onnx` and `keras/`."""
        return self.tuned if self.is_tuned else self.backbone

    def read_parts(self) -> "Parts":
        """Return the graphs; raises GraftError that names the stage to run when one is missing."""
        base_file = require(self.base_folder / "backbone.onnx", "backbone")
        head_file = require(self.tuned / "head.onnx", "finetuning")
        known_file = self.tuned / "known.onnx"
        return Parts(
            onnx.load(base_file),
            onnx.load(head_file),
            onnx.load(known_file) if known_file.exists() else None,
            is_tuned=self.is_tuned,
            base_sha256=hash_file(base_file),
            head_sha256=hash_file(head_file),
        )


class Parts(NamedTuple):
    """The graphs that become one file, with the SHA-256 of their files in hex.

    `base`: `image` to `features`; `head`: `features` to `probabilities`; `known`: `features` to `known`, or None.
    """

    base: onnx.ModelProto
    head: onnx.ModelProto
    known: onnx.ModelProto | None
    is_tuned: bool
    base_sha256: str
    head_sha256: str

    @property
    def taps(self) -> list[str]:
        """The layers whose features the head uses."""
        layers = [str(tap["layer"]) for tap in self._property(self.base, "taps")]
        used = self._property(self.head, "taps") if "taps" in graphs.metadata(self.head) else layers
        return [layer for layer in layers if layer in used]

    @property
    def backbone(self) -> dict[str, Any]:
        """The facts of the base."""
        return dict(self._property(self.base, "backbone"))

    @property
    def calibration(self) -> dict[str, Any]:
        """The calibration that the head states; empty if it states none."""
        return dict(self._property(self.head, "calibration"))

    @property
    def novelty(self) -> dict[str, Any]:
        """The threshold of `known` with its facts; empty without that graph."""
        return {} if self.known is None else dict(self._property(self.known, "novelty"))

    def join(self) -> onnx.ModelProto:
        """Return the graph from `image` to `probabilities`, `known` (if there is one) and `features`.

        Of the base, it has only the layers that the taps need which the head uses.
        """
        model = graphs.join(graphs.select_taps(self.base, self.taps), self.head)
        features = next(value for value in model.graph.value_info if value.name == "features")
        if self.known is not None:
            model = graphs.add_branch(model, canonical(self.known, "novelty", "features", ["known"]))
        model.graph.output.append(features)
        return model

    @staticmethod
    def _property(model: onnx.ModelProto, key: str) -> Any:
        return json.loads(graphs.metadata(model).get(key, "{}"))
