"""ONNX Runtime sessions on the CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

Array = npt.NDArray[Any]


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Return the options of a session whose forward passes use `threads` (>= 1) threads each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Decoding uses the same cores, and a thread that spins while it waits would occupy one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class Session:
    """A model with one input that is called like a function, from one thread or from several."""

    def __init__(self, model: onnx.ModelProto | bytes, threads: int) -> None:
        """Load the model; each forward pass uses `threads` (>= 1) threads."""
        content = model if isinstance(model, bytes) else model.SerializeToString()
        self._session = onnxruntime.InferenceSession(
            content, session_options(threads), providers=["CPUExecutionProvider"]
        )
        self._input_name = self._session.get_inputs()[0].name
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    def __call__(self, batch: Array) -> Array:
        """Return the model's first output for one batch, [N, ...] to [N, ...]."""
        return self.outputs(batch)[0]

    def outputs(self, batch: Array, names: Sequence[str] | None = None) -> list[Array]:
        """Return the outputs of these names, or all of them, for one batch."""
        return [np.asarray(output) for output in self._session.run(names, {self._input_name: batch})]
