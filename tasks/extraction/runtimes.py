"""Runtimes that run the base: ONNX Runtime in float32, or OpenVINO in float32, bf16 and int8."""

import threading
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime

from tasks.common.errors import GraftError
from tasks.common.text import printable
from tasks.onnx import graphs
from tasks.onnx.sessions import Array, session_options

Runtime = Literal["onnxruntime", "openvino"]
Precision = Literal["float32", "bf16", "int8"]

# An int8 graph says by itself which of its numbers have 8 bits.
PRECISION_HINTS = {"float32": "f32", "bf16": "bf16", "int8": "f32"}

Forward = Callable[[Array], list[Array]]
"""A base, called from several threads at once: uint8 [n, S, S, 3] to float32 [n, D] for each tap."""


def versioned_name(runtime: Runtime) -> str:
    """Return the runtime's name with its version, since another version may give other last bits.

    Raises GraftError when the runtime is not installed.
    """
    try:
        return f"{runtime} {version(runtime)}"
    except PackageNotFoundError as error:
        message = f"features.runtime is {runtime}, which is not installed. Run `pip install 'graft[{runtime}]'`."
        raise GraftError(message) from error


def load_forward(
    model: onnx.ModelProto, tensors: Sequence[str], runtime: Runtime, precision: Precision, threads: int
) -> Forward:
    """Return the part of `model` from `resized` to `tensors`, to be called from `threads` threads, a core for each.

    Raises GraftError when this processor cannot compute in that precision, or the runtime does not know an operator.
    """
    base = graphs.extract(model, "resized", tensors)
    if runtime == "onnxruntime":
        return _OnnxRuntime(base, tensors)
    return _OpenVino(base, precision, threads)


class _OnnxRuntime:
    def __init__(self, model: onnx.ModelProto, tensors: Sequence[str]) -> None:
        # With one thread a pass and a pass for each core, no thread waits at the end of a layer.
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), session_options(threads=1), providers=["CPUExecutionProvider"]
        )
        self._tensors = list(tensors)

    def __call__(self, batch: Array) -> list[Array]:
        return [np.asarray(vectors) for vectors in self._session.run(self._tensors, {"resized": batch})]


class _OpenVino:
    def __init__(self, model: onnx.ModelProto, precision: Precision, threads: int) -> None:
        import openvino  # an extra; `versioned_name` has checked that it is installed

        # OpenVINO builds a table of types at its first conversion; two threads that do so at once can deadlock.
        openvino.Type.u8.to_dtype()
        core = openvino.Core()
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and "BF16" not in capabilities:
            message = "features.precision is bf16, which this processor cannot compute. Set it to float32."
            raise GraftError(message)
        options = {
            "INFERENCE_PRECISION_HINT": PRECISION_HINTS[precision],
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "THROUGHPUT",
        }
        try:
            self._compiled: Any = core.compile_model(core.read_model(model.SerializeToString()), "CPU", options)
        except RuntimeError as error:
            # Its operators are a part of ONNX's, and encoders from elsewhere may use any of these.
            reason = printable(" ".join(str(error).split()))[:200]
            message = f"OpenVINO cannot run the base: {reason} Set features.runtime to onnxruntime."
            raise GraftError(message) from error
        self._local = threading.local()

    def __call__(self, batch: Array) -> list[Array]:
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        outputs = self._local.request.infer([batch], share_inputs=True)
        return [np.array(outputs[output]) for output in self._compiled.outputs]
