"""LiteRT, formerly TensorFlow Lite."""

from collections.abc import Sequence
from pathlib import Path

from graft.conformance.runtimes.runtime import TFLITE, Array, Predict, python_runtime

RUNTIME = python_runtime(
    __name__, "LiteRT", "ai-edge-litert", TFLITE, without_file="name the variant litert in export.variants"
)


def load(model: Path, outputs: Sequence[str]) -> Predict:
    """Return the function that predicts one image; the file may lack some of the outputs."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=str(model), num_threads=1).get_signature_runner()

    def predict(pixels: Array) -> dict[str, Array]:
        results = run(resized=pixels)
        return {name: results[name] for name in outputs if name in results}

    return predict
