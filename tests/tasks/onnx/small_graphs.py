"""A small base for the tests of graphs, optionally with every name and order in the file changed."""

import random
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tasks.onnx import graphs
from tasks.onnx.canonical_form import canonical
from tasks.onnx.resize import Resize, resize_graph

SIZE = 8


def small_base(shuffle: random.Random | None = None) -> onnx.ModelProto:
    """Return a graph from uint8 [N, 8, 8, 3] to float32 [N, 4] with two branches that meet.

    `shuffle` changes every name and every order in the file.
    """
    values = np.random.default_rng(0)
    constants: dict[str, npt.NDArray[Any]] = {
        "axes": np.array([1, 2], np.int64),
        "left": values.normal(size=(3, 4)).astype(np.float32),
        "right": values.normal(size=(3, 4)).astype(np.float32),
        "bias": values.normal(size=4).astype(np.float32),
    }
    nodes: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Cast", ["in"], "cast", {"to": TensorProto.FLOAT}),
        ("ReduceMean", ["cast", "axes"], "mean", {"keepdims": 0, "noop_with_empty_axes": 0}),
        ("MatMul", ["mean", "left"], "a", {}),
        ("MatMul", ["mean", "right"], "b", {}),
        ("Add", ["a", "bias"], "c", {}),
        ("Sub", ["c", "b"], "out", {}),
    ]
    names = {name: name for name in [*constants, "in", *(output for _, _, output, _ in nodes)]}
    order = list(constants)
    if shuffle is not None:
        new_names = [f"tensor_{number}" for number in range(len(names))]
        shuffle.shuffle(new_names)
        names = dict(zip(names, new_names, strict=True))
        shuffle.shuffle(order)
        shuffle.shuffle(nodes)
    graph = helper.make_graph(
        [
            helper.make_node(
                op_type,
                [names[name] for name in inputs],
                [names[output]],
                name=f"{shuffle.random()}" if shuffle else f"{op_type}_{inputs[-1]}",
                doc_string="" if shuffle is None else "made today",
                **attributes,
            )
            for op_type, inputs, output, attributes in nodes
        ],
        "base" if shuffle is None else "another",
        [helper.make_tensor_value_info(names["in"], TensorProto.UINT8, ["unknown", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(names["out"], TensorProto.FLOAT, ["unknown", 4])],
        [numpy_helper.from_array(constants[name], names[name]) for name in order],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", graphs.OPSET)])


def canonical_base() -> onnx.ModelProto:
    """Return the small base in canonical form, from `resized` to `features`."""
    return canonical(small_base(), "base", "resized", ["features"])


def small_backbone() -> onnx.ModelProto:
    """Return the resize and the small base as one graph, from `image` to `features`."""
    return graphs.join(resize_graph(Resize(SIZE)), canonical_base())
