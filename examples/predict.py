"""Classify images with an exported model: nothing but onnxruntime, numpy and Pillow, and pi-heif for HEIC.

    python examples/predict.py artifacts/export/model.onnx IMAGE...

Prints one line of JSON an image: its path, the class, and the probability of each class. An error ends in one line on
standard error and exit code 1, or 2 for missing arguments.
"""

import json
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import ExifTags, Image, PngImagePlugin

try:
    from pi_heif import register_heif_opener  # type: ignore[import-untyped]
except ImportError:
    pass
else:
    register_heif_opener()

# The formats that Graft reads, as far as this Pillow does. TGA is last, because its plugin takes many files for TGA.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA")
Image.init()
READABLE_FORMATS = [name for name in FORMATS if name in Image.OPEN]

# Large colour profiles and XMP in PNG files are no reason to refuse the pixels; Pillow's own limit is 1 MB.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 * 2**20

FULL_RANGES = (255, 1023, 4095, 16383, 65535)
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read(path: str) -> np.ndarray:
    """Decode an image file to RGB pixels, uint8 [H, W, 3], as Graft does: upright, on white where transparent.

    docs/decoding.md states the rules.
    """
    content = Path(path).read_bytes()
    if content[4:8] == b"ftyp" and content[8:12].startswith((b"he", b"mif1")) and "HEIF" not in READABLE_FORMATS:
        message = "HEIC needs pi-heif: pip install pi-heif"
        raise ValueError(message)
    # From a path, Pillow maps some TIFF files into memory and then gets their orientation wrong.
    with Image.open(BytesIO(content), formats=READABLE_FORMATS) as image:
        if not isinstance(image.info.get("xmp"), bytes):
            image.info.pop("xmp", None)  # Pillow fails to search other types for an orientation
        image.load()
        try:
            transposition = TRANSPOSITIONS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        except Exception:  # noqa: BLE001  damaged EXIF data do not make the pixels bad
            transposition = None
        upright = image if transposition is None else image.transpose(transposition)
        if upright.mode.startswith(("I", "F")):
            upright = to_eight_bits(upright, is_tiff=image.format == "TIFF")
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return np.asarray(upright.convert("RGB"))


def to_eight_bits(image: Image.Image, *, is_tiff: bool) -> Image.Image:
    """Scale greys of more than 8 bits by their full range, which TIFF files and floats leave open."""
    values = np.asarray(image, dtype=np.float64)
    lowest, highest = values.min(), values.max()
    if not 0 <= lowest <= highest <= FULL_RANGES[-1]:
        message = f"grey values from {lowest:g} to {highest:g} do not fit 16 bits"
        raise ValueError(message)
    full_range = FULL_RANGES[-1]
    if is_tiff or image.mode == "F":
        ranges = (1, *FULL_RANGES) if image.mode == "F" else FULL_RANGES
        full_range = next(candidate for candidate in ranges if highest <= candidate)
    return Image.fromarray((values / (full_range / 255)).round().astype(np.uint8))


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
        except Exception as error:  # noqa: BLE001  decoders of damaged files raise any type, such as SyntaxError
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
