import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tasks.networks.conversion.channels_first import channels_first
from tasks.onnx.sessions import Session

Nodes = list[onnx.NodeProto]
LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def model(nodes: Nodes) -> onnx.ModelProto:
    """Return a model of these nodes from `x` [N, 2, 3, 4] to `y`; `area` is [1, 2], `other` is [1, 3]."""
    constants = [
        helper.make_tensor(name, TensorProto.INT64, [2], values)
        for name, values in (("area", [1, 2]), ("other", [1, 3]))
    ]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 3, 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "small", [source], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def transpose(source: str, result: str, order: list[int]) -> onnx.NodeProto:
    return helper.make_node("Transpose", [source], [result], perm=order)


def mean(source: str, result: str, axes: str = "area", keepdims: int = 0, kind: str = "ReduceMean") -> onnx.NodeProto:
    return helper.make_node(kind, [source, axes], [result], keepdims=keepdims)


@pytest.mark.parametrize(
    ("nodes", "reads_first"),
    [
        ([transpose("x", "t", LAST), mean("t", "y")], True),
        ([transpose("x", "t", LAST), mean("t", "y", kind="ReduceMax")], True),
        ([transpose("x", "t", LAST), transpose("t", "u", FIRST), helper.make_node("Relu", ["u"], ["y"])], True),
        ([transpose("x", "t", LAST), mean("t", "y", keepdims=1)], False),
        ([transpose("x", "t", LAST), mean("t", "y", axes="other")], False),
        ([transpose("x", "t", LAST), mean("t", "y", kind="ReduceSum")], False),
        ([transpose("x", "t", FIRST), mean("t", "y")], False),
        ([transpose("x", "t", FIRST), transpose("t", "u", FIRST), helper.make_node("Relu", ["u"], ["y"])], False),
        ([mean("x", "y")], None),
    ],
)
def test_maps_are_read_as_they_are_made_where_that_means_the_same(nodes: Nodes, reads_first: bool | None) -> None:
    before = model(nodes)
    after = channels_first(before)
    if reads_first is not None:
        assert ("x" in after.graph.node[-1].input) == reads_first
    values = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(Session(after, 1)(values), Session(before, 1)(values), rtol=1e-6, atol=1e-6)
