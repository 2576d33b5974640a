"""The images that all runtimes get: decoded once, and resized once by ONNX Runtime, in two files."""

from collections.abc import Iterable, Iterator
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import onnxruntime

from graft.conformance.variants import import_onnx
from graft.sources import Images, Source
from tasks.common.errors import GraftError, ImageError
from tasks.common.progress import say
from tasks.common.text import printable
from tasks.images.decoding import MAX_MEGAPIXELS, decode


class Pixels(NamedTuple):
    """A file of images, uint8 [H, W, 3] one after the other, and their shapes."""

    path: Path
    shapes: list[list[int]]


def select(images: Images, limit: int) -> Iterator[Source]:
    """Yield at most `limit` images, evenly spaced, since classes often follow one another."""
    number = min(limit, images.total)
    positions = {position * images.total // number for position in range(number)}
    return compress(images, (position in positions for position in range(images.total)))


def write_pixels(sources: Iterable[Source], model: Path, folder: Path) -> tuple[Pixels, Pixels]:
    """Decode the images and write them to the folder, as they are and resized as the model does.

    Raises:
        GraftError: None of the images can be read.
    """
    resize = _resize_session(model)
    decoded, resized = Pixels(folder / "decoded", []), Pixels(folder / "resized", [])
    with decoded.path.open("wb") as decoded_file, resized.path.open("wb") as resized_file:
        for source in sources:
            try:
                pixels = decode(source.read(), MAX_MEGAPIXELS).pixels
            except ImageError as error:
                say(f"graft conformance: {printable(source.name)} is left out: {printable(str(error))}")
                continue
            [[smaller]] = resize.run(["resized"], {"image": pixels[None]})
            for target, file, array in ((decoded, decoded_file, pixels), (resized, resized_file, smaller)):
                file.write(array.tobytes())
                target.shapes.append(list(array.shape))
    if not decoded.shapes:
        message = "none of the images can be read. Give images that `graft predict` reads."
        raise GraftError(message)
    return decoded, resized


def _resize_session(model: Path) -> onnxruntime.InferenceSession:
    from tasks.onnx import graphs

    part = graphs.extract(import_onnx().load(model), "image", "resized")
    return onnxruntime.InferenceSession(part.SerializeToString(), providers=["CPUExecutionProvider"])
