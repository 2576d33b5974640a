"""Classify images with the variant `model.fixed.onnx` in OpenCV: nothing but opencv-python and numpy.

    python examples/opencv/predict.py artifacts/export IMAGE...

OpenCV's own Resize gives wrong pixels (docs/runtimes.md), so the images are resized here, with the filter that the
model was trained with. cv2.resize has no such filter: INTER_LINEAR is not antialiased, and INTER_AREA averages boxes.

Prints one line of JSON an image: its path, the class, and the probability of each class. An error ends in one line on
standard error and exit code 1, or 2 for missing arguments.
"""

import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np


def read(path: str) -> np.ndarray:
    """Decode an image file to RGB pixels, uint8 [H, W, 3], upright; OpenCV ignores transparency."""
    pixels = cv2.imread(path, cv2.IMREAD_COLOR)
    if pixels is None:
        message = f"{path} cannot be read as an image"
        raise ValueError(message)
    return np.ascontiguousarray(pixels[:, :, ::-1])


def triangles(source: int, target: int) -> np.ndarray:
    """Return the weights [target, source] of the antialiased bilinear filter, which repeats the outermost pixels."""
    support = max(source / target, 1)
    margin = int(np.ceil(support))
    centres = (np.arange(target) + 0.5) * source / target
    positions = np.arange(-margin, source + margin) + 0.5
    weights = np.maximum(0, 1 - np.abs(positions - centres[:, None]) / support)
    weights[:, margin] += weights[:, :margin].sum(axis=1)
    weights[:, -margin - 1] += weights[:, -margin:].sum(axis=1)
    inside = weights[:, margin:-margin]
    normalised: np.ndarray = (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return the pixels stretched to a square, uint8 [size, size, 3]; rounded after each direction, as training did."""
    height, width, _ = pixels.shape
    wide = np.rint(np.einsum("tw,hwc->htc", triangles(width, size), pixels, optimize=True))
    square = np.rint(np.einsum("th,hwc->twc", triangles(height, size), wide, optimize=True))
    resized: np.ndarray = square.astype(np.uint8)
    return resized


def read_size(model: bytes) -> int:
    """Return the size that the model takes.

    OpenCV gives no access to the metadata, and would take pixels of any size without a word; they are text in the file.
    """
    entry = re.search(rb'\{"size": \d+, "fit": [^}]*\}', model)
    if entry is None:
        message = "the model does not state the size that it takes: export it with Graft"
        raise ValueError(message)
    rules = json.loads(entry[0])
    if (rules["fit"], rules["crop_share"], rules["interpolation"]) != ("stretch", 1, "bilinear"):
        message = f"this example only stretches images with a bilinear filter, and the model expects {rules}"
        raise ValueError(message)
    return int(rules["size"])


def main(folder: Path, paths: list[str]) -> None:
    """Classify the images."""
    classes = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    model = (folder / "model.fixed.onnx").read_bytes()
    size = read_size(model)
    network = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    for path in paths:
        network.setInput(resize(read(path), size)[None])
        [probabilities] = network.forward("probabilities")
        print(
            json.dumps(
                {
                    "path": path,
                    "class": classes[int(probabilities.argmax())],
                    "probabilities": probabilities.tolist(),
                }
            )
        )


if __name__ == "__main__":
    if not sys.argv[2:]:
        print("usage: python predict.py FOLDER IMAGE...", file=sys.stderr)
        sys.exit(2)
    try:
        main(Path(sys.argv[1]), sys.argv[2:])
    except (OSError, ValueError, cv2.error) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
