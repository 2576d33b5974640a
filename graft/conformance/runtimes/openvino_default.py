"""OpenVINO with the precision that it chooses itself."""

from collections.abc import Sequence
from pathlib import Path

from graft.conformance.runtimes.openvino import compile_model
from graft.conformance.runtimes.runtime import Predict, python_runtime

RUNTIME = python_runtime(
    __name__,
    "OpenVINO by default",
    "openvino",
    remark="computes in bfloat16 where a processor can; with INFERENCE_PRECISION_HINT set to f32, in float32",
)


def load(model: Path, outputs: Sequence[str]) -> Predict:
    """Return the function that predicts one image."""
    return compile_model(model, outputs, {})
