"""Classify images with an exported model: nothing but onnxruntime, numpy and Pillow.

    python examples/predict.py artifacts/export/model.onnx IMAGE...

Prints one line of JSON an image: its path, the class, and the probability of each class.
"""

import json
import sys

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


def main() -> None:
    """Classify the images named on the command line."""
    model, *paths = sys.argv[1:]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    for path in paths:
        [probabilities] = session.run(["probabilities"], {"image": read(path)[None]})
        best = classes[probabilities[0].argmax()]
        print(json.dumps({"path": path, "class": best, "probabilities": probabilities[0].tolist()}))


if __name__ == "__main__":
    main()
