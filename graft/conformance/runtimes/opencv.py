"""The module `dnn` of OpenCV."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from graft.conformance.runtimes.runtime import Array, Predict, python_runtime

# Four packages hold the same module.
PACKAGES = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)


def _installed() -> str:
    for package in PACKAGES:
        try:
            version(package)
        except PackageNotFoundError:
            continue
        return package
    return PACKAGES[0]


RUNTIME = python_runtime(__name__, "OpenCV DNN", _installed())


def load(model: Path, outputs: Sequence[str]) -> Predict:
    """Return the function that predicts one image."""
    import cv2

    cv2.setNumThreads(1)
    network = cv2.dnn.readNetFromONNX(str(model))

    # OpenCV 5 computes one output or all of them, and no other selection.
    names = list(outputs) if len(outputs) == 1 else list(network.getUnconnectedOutLayersNames())

    def predict(pixels: Array) -> dict[str, Array]:
        network.setInput(pixels)
        results = dict(zip(names, network.forward(names), strict=True))
        return {name: results[name].copy() for name in outputs}

    return predict
