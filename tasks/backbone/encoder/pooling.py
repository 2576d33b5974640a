"""Pooling of an encoder's output: from vectors, tokens or maps to the features, float32 [N, D]."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tasks.backbone.encoder.signature import Layout
from tasks.common.errors import GraftError

Array = npt.NDArray[Any]
Pooling = Literal["avg", "max", "none", "cls"]
VECTOR_AXES, TOKEN_AXES, MAP_AXES = 2, 3, 4


def check_output(shape: Sequence[int], pooling: Pooling, name: str) -> None:
    """Raise a GraftError if one image's output, of this shape [1, ...], cannot be pooled so."""
    if shape[:1] != (1,) or not VECTOR_AXES <= len(shape) <= MAP_AXES or 0 in shape:
        message = (
            f"the output of {name} for one image has the shape {list(shape)[:8]}; expected [1, D], tokens [1, T, D] or "
            "maps of features. Set backbone.preprocessing.output to another output."
        )
        raise GraftError(message)
    if pooling == "cls" and len(shape) == MAP_AXES:
        message = (
            f"backbone.pooling is cls, but the output of {name} has maps of the shape {list(shape)}, which have no "
            "class token; set it to avg, max or none."
        )
        raise GraftError(message)


def pool(output: Array, pooling: Pooling, layout: Layout) -> Array:
    """Return an encoder's output as features: the reference that the graph is compared with."""
    values = output.astype(np.float32)
    if values.ndim == TOKEN_AXES and pooling == "cls":
        return values[:, 0]
    axes = tuple(_axes(values.ndim, layout))
    if not axes or pooling == "none":
        return values.reshape(len(values), -1)
    return np.asarray(values.mean(axes) if pooling == "avg" else values.max(axes))


def pooling_nodes(
    output: str, axis_count: int, pooling: Pooling, layout: Layout
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return nodes and constants that lead from the encoder's output of so many axes to `features`."""
    nodes = [helper.make_node("Cast", [output], ["pooling/values"], to=TensorProto.FLOAT)]
    axes = _axes(axis_count, layout)
    if axis_count == TOKEN_AXES and pooling == "cls":
        nodes.append(helper.make_node("Gather", ["pooling/values", "pooling/first"], ["features"], axis=1))
        return nodes, [numpy_helper.from_array(np.array(0, np.int64), "pooling/first")]
    if not axes or pooling == "none":
        nodes.append(helper.make_node("Flatten", ["pooling/values"], ["features"], axis=1))
        return nodes, []
    operator = "ReduceMean" if pooling == "avg" else "ReduceMax"
    nodes.append(helper.make_node(operator, ["pooling/values", "pooling/axes"], ["features"], keepdims=0))
    return nodes, [numpy_helper.from_array(np.array(axes, np.int64), "pooling/axes")]


def _axes(axis_count: int, layout: Layout) -> list[int]:
    """Return the axes of tokens, or of height and width, in the order of dimensions of the encoder's input."""
    if axis_count == MAP_AXES:
        return [2, 3] if layout == "NCHW" else [1, 2]
    return [1] if axis_count == TOKEN_AXES else []
