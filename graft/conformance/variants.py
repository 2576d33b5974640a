"""The exported files that are compared: what they take, and how exact they are meant to be."""

from pathlib import Path
from typing import Any, NamedTuple

from graft.conformance.runtimes.runtime import EXTRA, TFLITE
from graft.model_file import IMAGE, KNOWN, PROBABILITIES, RESIZED, ModelFile
from tasks.common.errors import GraftError
from tasks.common.text import printable

MODEL = "model.onnx"
FILES = (MODEL, "model.fixed.onnx", "model.fixed_float.onnx", "model.float16.onnx", "model.int8.onnx", "model.tflite")
# A resize that rounds some pixels to the next level moves probabilities by a few thousandths.
TOLERANCE = 5e-3
# Each runtime rounds half precision and 8 bits in its own way, so that these differ more.
TOLERANCES = {"model.float16.onnx": 0.01, "model.int8.onnx": 0.05}


class Variant(NamedTuple):
    """An exported file that runtimes are compared with.

    Attributes:
        path: the file.
        takes_resized: whether it takes resized pixels rather than an image of any size.
        dtype: of its pixels, `uint8` or `float32`.
        tolerance: the largest difference from ONNX Runtime with which a runtime is fit for the file.
    """

    path: Path
    takes_resized: bool
    dtype: str
    tolerance: float

    @property
    def name(self) -> str:
        """The name of the file, safe to print."""
        return printable(self.path.name)


class Export(NamedTuple):
    """The exported files: the model that takes images of any size, the outputs compared, and all variants."""

    model: Path
    outputs: list[str]
    variants: list[Variant]


def find_export(path: Path) -> Export:
    """Return the variants in a folder, or the one of this file; the first takes images of any size.

    Raises:
        GraftError: There is no such model, or Graft did not export it.
    """
    import_onnx()
    paths = [path / name for name in FILES if (path / name).exists()] if path.is_dir() else [path]
    model = paths[0] if path.is_file() and _takes_images(path) else (path if path.is_dir() else path.parent) / MODEL
    if not model.exists():
        message = (
            f"{printable(str(model))} is missing: it has the resize that images need. Give the folder that `graft "
            "train` exported, or a model file in it, with --model."
        )
        raise GraftError(message)
    file = ModelFile(model)
    outputs = [name for name in (PROBABILITIES, KNOWN) if name in file.outputs]
    return Export(model, outputs, [_describe(entry) for entry in dict.fromkeys([model, *paths])])


def import_onnx() -> Any:
    """Return the package onnx; raises GraftError that names the extra if it is missing."""
    try:
        import onnx
    except ImportError as error:
        message = f"the package onnx is missing. Run `{EXTRA}`."
        raise GraftError(message) from error
    return onnx


def _takes_images(path: Path) -> bool:
    return path.suffix != TFLITE and ModelFile(path).input == IMAGE


def _describe(path: Path) -> Variant:
    tolerance = TOLERANCES.get(path.name, TOLERANCE)
    if path.suffix == TFLITE:
        return Variant(path, takes_resized=True, dtype="uint8", tolerance=tolerance)
    file = ModelFile(path)
    onnx = import_onnx()
    element = onnx.load(path).graph.input[0].type.tensor_type.elem_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(element).name
    return Variant(path, file.input == RESIZED, dtype, tolerance)
