"""The front of an encoder: from `resized` pixels to the values and the order of dimensions that it expects."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tasks.backbone.encoder.preprocessing import Preprocessing
from tasks.backbone.encoder.signature import Layout
from tasks.common.errors import GraftError
from tasks.images.decoding import Pixels

Array = npt.NDArray[Any]
CHANNELS_FIRST = (0, 3, 1, 2)


def check_type(preprocessing: Preprocessing, element_type: int, name: str) -> None:
    """Raise a GraftError if the encoder takes uint8, which holds no normalised values, and normalisation is stated."""
    is_plain = (preprocessing.scale, *preprocessing.mean, *preprocessing.std) == (1, 0, 0, 0, 1, 1, 1)
    if element_type == TensorProto.UINT8 and not is_plain:
        message = (
            f"{name} takes uint8 pixels, but {preprocessing.origin} states a normalisation, which gives fractions. Set "
            "backbone.preprocessing.scale to 1, and mean and std to null."
        )
        raise GraftError(message)


def normalise(pixels: Pixels, preprocessing: Preprocessing, layout: Layout, element_type: int) -> Array:
    """Return uint8 pixels [N, S, S, 3] as the encoder's input: the reference that the graph is compared with."""
    with np.errstate(all="ignore"):  # absurd values show in the encoder's output
        scaled = pixels.astype(np.float32) * np.float32(preprocessing.scale)
        values = (scaled - np.array(preprocessing.mean, np.float32)) / np.array(preprocessing.std, np.float32)
        ordered = values.transpose(CHANNELS_FIRST) if layout == "NCHW" else values
        return np.ascontiguousarray(ordered, helper.tensor_dtype_to_np_dtype(element_type))


def normalisation(
    preprocessing: Preprocessing, layout: Layout, element_type: int, result: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return nodes and constants that lead from `resized`, uint8 [N, S, S, 3], to the tensor `result`.

    (pixel * scale - mean) / std is computed as pixel * factor + offset.
    """
    std = np.array(preprocessing.std)
    constants = {
        "normalisation/factor": (preprocessing.scale / std).astype(np.float32),
        "normalisation/offset": (-np.array(preprocessing.mean) / std).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["resized"], ["normalisation/values"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["normalisation/values", "normalisation/factor"], ["normalisation/scaled"]),
        helper.make_node("Add", ["normalisation/scaled", "normalisation/offset"], ["normalisation/normalised"]),
    ]
    last = "normalisation/normalised"
    if layout == "NCHW":
        nodes.append(helper.make_node("Transpose", [last], ["normalisation/ordered"], perm=CHANNELS_FIRST))
        last = "normalisation/ordered"
    nodes.append(helper.make_node("Cast", [last], [result], to=element_type))
    return nodes, [numpy_helper.from_array(values, name) for name, values in constants.items()]
