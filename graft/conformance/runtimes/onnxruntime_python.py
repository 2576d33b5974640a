"""ONNX Runtime in Python: the reference."""

from collections.abc import Sequence
from pathlib import Path

from graft.conformance.runtimes.runtime import Array, Predict, python_runtime

RUNTIME = python_runtime(__name__, "ONNX Runtime", "onnxruntime", install="pip install onnxruntime")


def load(model: Path, outputs: Sequence[str]) -> Predict:
    """Return the function that predicts one image."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def predict(pixels: Array) -> dict[str, Array]:
        return dict(zip(outputs, session.run(list(outputs), {name: pixels}), strict=True))

    return predict
