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


def reduction(
    source: str, result: str, axes: str = "area", keepdims: int = 0, kind: str = "ReduceMean"
) -> onnx.NodeProto:
    return helper.make_node(kind, [source, axes], [result], keepdims=keepdims)


RELU = helper.make_node("Relu", ["u"], ["y"])


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([transpose("x", "t", LAST), reduction("t", "y")], id="mean over the area"),
        pytest.param([transpose("x", "t", LAST), reduction("t", "y", kind="ReduceMax")], id="maximum over the area"),
        pytest.param([transpose("x", "t", LAST), transpose("t", "u", FIRST), RELU], id="a transpose and its inverse"),
    ],
)
def test_maps_are_read_without_a_transpose_where_that_gives_the_same(nodes: Nodes) -> None:
    before = model(nodes)
    after = channels_first(before)
    assert "x" in after.graph.node[-1].input
    assert_equal_results(before, after)


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([transpose("x", "t", LAST), reduction("t", "y", keepdims=1)], id="dimensions that are kept"),
        pytest.param([transpose("x", "t", LAST), reduction("t", "y", axes="other")], id="mean over other axes"),
        pytest.param([transpose("x", "t", LAST), reduction("t", "y", kind="ReduceSum")], id="another reduction"),
        pytest.param([transpose("x", "t", FIRST), reduction("t", "y")], id="another transpose"),
        pytest.param([transpose("x", "t", FIRST), transpose("t", "u", FIRST), RELU], id="a transpose twice"),
        pytest.param([reduction("x", "y")], id="no transpose"),
    ],
)
def test_other_readers_of_maps_stay_as_they_are(nodes: Nodes) -> None:
    before = model(nodes)
    after = channels_first(before)
    assert after.graph.node == before.graph.node
    assert_equal_results(before, after)


def assert_equal_results(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    values = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(Session(after, 1)(values), Session(before, 1)(values), rtol=1e-6, atol=1e-6)
