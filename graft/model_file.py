"""An exported model file: checked, with its metadata, and ready to run."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from tasks.common.errors import GraftError
from tasks.common.text import count, printable
from tasks.onnx.model_metadata import ModelMetadata, read_metadata

Array = npt.NDArray[Any]

IMAGE, RESIZED, PROBABILITIES, KNOWN, FEATURES = "image", "resized", "probabilities", "known", "features"


class ModelFile:
    """A model file in memory; its methods may be called from several threads.

    Attributes:
        name: the path, safe to print.
        metadata: the facts that the file states about itself.
        outputs: names of the outputs.
        input: name of the input: `image` of any size, or `resized` of a fixed one.
    """

    def __init__(self, path: str | Path) -> None:
        """Read and check the file.

        Raises:
            GraftError: The file cannot be read, is no complete ONNX file, needs a newer ONNX Runtime, or is not one
                that this Graft reads.
        """
        self.name = printable(str(path))
        try:
            self._content = Path(path).read_bytes()
        except OSError as error:
            message = f"{self.name} cannot be read: {error.strerror}. Expected a model that Graft exported (.onnx)."
            raise GraftError(message) from error
        self._sessions: dict[int, onnxruntime.InferenceSession] = {}
        session = self._load(1)
        self.metadata: ModelMetadata = read_metadata(session.get_modelmeta().custom_metadata_map, self.name)
        self.outputs = [output.name for output in session.get_outputs()]
        self.input = session.get_inputs()[0].name
        if self.input not in {IMAGE, RESIZED} or PROBABILITIES not in self.outputs:
            message = (
                f"{self.name} is not a model that Graft exported: expected an input '{IMAGE}' or '{RESIZED}', and an "
                f"output '{PROBABILITIES}'."
            )
            raise GraftError(message)
        shapes = {output.name: output.shape for output in session.get_outputs()}
        width, classes = shapes[PROBABILITIES][-1], len(self.metadata.classes)
        if isinstance(width, int) and width != classes:
            message = (
                f"{self.name} has damaged metadata: expected {count(width, 'class', 'classes')}, one for each of its "
                f"probabilities, found {classes:,}. Export it again."
            )
            raise GraftError(message)

    def run(self, pixels: Array, outputs: list[str], threads: int = 1) -> list[Array]:
        """Return these outputs for `pixels`, uint8 [N, H, W, 3], computed by so many threads (>= 1)."""
        session = self._sessions.get(threads) or self._load(threads)
        return [np.asarray(output) for output in session.run(outputs, {self.input: pixels})]

    def _load(self, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Decoding uses the same cores, and a thread that spins while it waits would occupy one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without a model, the runtime writes its reasons to standard error as well.
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(self._content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a dozen types without a common base
            reason = printable(" ".join(str(error).split())).rstrip(".")
            message = (
                f"{self.name} cannot be loaded by ONNX Runtime {onnxruntime.__version__}: {reason}. Expected a "
                "complete model that Graft exported (.onnx)."
            )
            raise GraftError(message) from error
        self._sessions[threads] = session
        return session
