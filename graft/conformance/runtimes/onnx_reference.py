"""The evaluator of the package onnx, which follows the specification in numpy and is not made for speed."""

from collections.abc import Sequence
from pathlib import Path

from graft.conformance.runtimes.runtime import Array, Predict, python_runtime

RUNTIME = python_runtime(__name__, "ONNX reference evaluator", "onnx")


def load(model: Path, outputs: Sequence[str]) -> Predict:
    """Return the function that predicts one image."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(model))

    def predict(pixels: Array) -> dict[str, Array]:
        return dict(zip(outputs, evaluator.run(list(outputs), {evaluator.input_names[0]: pixels}), strict=True))

    return predict
