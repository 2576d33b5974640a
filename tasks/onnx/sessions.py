"""ONNX Runtime sessions on the CPU."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

Array = npt.NDArray[Any]


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Return the options of a session in which `threads` (>= 1) share one forward pass."""
    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads = threads
    made.inter_op_num_threads = 1
    # Decoding shares the cores: a thread that spins while it waits takes them from it.
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return made


class Session:
    """A model of one input and one output, called like a function; safe to call from several threads."""

    def __init__(self, model: onnx.ModelProto | bytes, threads: int) -> None:
        """Load the model; `threads` (>= 1) share one forward pass."""
        content = model if isinstance(model, bytes) else model.SerializeToString()
        self._session = onnxruntime.InferenceSession(
            content, session_options(threads), providers=["CPUExecutionProvider"]
        )
        self._source = self._session.get_inputs()[0].name
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    def __call__(self, batch: Array) -> Array:
        """Return the model's output for one batch, [N, ...] to [N, ...]."""
        return np.asarray(self._session.run(None, {self._source: batch})[0])
