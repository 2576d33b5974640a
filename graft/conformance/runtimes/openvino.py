"""OpenVINO, told to compute in float32."""

from collections.abc import Sequence
from pathlib import Path

from graft.conformance.runtimes.runtime import Array, Predict, python_runtime

RUNTIME = python_runtime(__name__, "OpenVINO in float32", "openvino")


def load(model: Path, outputs: Sequence[str]) -> Predict:
    """Return the function that predicts one image."""
    return compile_model(model, outputs, {"INFERENCE_PRECISION_HINT": "f32"})


def compile_model(model: Path, outputs: Sequence[str], settings: dict[str, str]) -> Predict:
    """Return the function that predicts one image, from a model compiled with more settings."""
    import openvino

    compiled = openvino.Core().compile_model(str(model), "CPU", {"INFERENCE_NUM_THREADS": 1, **settings})

    def predict(pixels: Array) -> dict[str, Array]:
        results = compiled(pixels)
        return {name: results[name] for name in outputs}

    return predict
