"""Classify images with an exported model: nothing but onnxruntime, numpy and Pillow.

    python examples/predict.py artifacts/export/model.onnx IMAGE...

Prints one line of JSON an image: its path, the class, and the probability of each class. An error ends in one line on
standard error and exit code 1, or 2 for missing arguments.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def read(path: str) -> np.ndarray:
    """Decode an image file to RGB pixels, uint8 [H, W, 3], as Graft does: upright, on white where transparent."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            upright = Image.fromarray((np.asarray(upright, dtype=np.float64) / 257).round().astype(np.uint8))
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return np.asarray(upright.convert("RGB"))


def main(arguments: list[str]) -> str | None:
    """Classify the images named on the command line; return the error message if that fails."""
    model, *paths = arguments
    missing = [path for path in arguments if not Path(path).is_file()]
    if missing:
        return f"{missing[0]} is not a file"
    try:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    except Exception as error:  # noqa: BLE001  ONNX Runtime raises a dozen types without a common base
        return f"{model} is not a model that Graft exported: {error}"
    for path in paths:
        try:
            pixels = read(path)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            return f"{path} cannot be read as an image: {error}"
        [probabilities] = session.run(["probabilities"], {"image": pixels[None]})
        best = classes[probabilities[0].argmax()]
        print(json.dumps({"path": path, "class": best, "probabilities": probabilities[0].tolist()}))
    return None


if __name__ == "__main__":
    if not sys.argv[2:]:
        print("usage: python predict.py MODEL.onnx IMAGE...", file=sys.stderr)
        sys.exit(2)
    message = main(sys.argv[1:])
    sys.exit(message and f"error: {' '.join(message.split())}")
