from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from tasks.onnx import graphs
from tasks.onnx.lowering import lower_opset
from tasks.onnx.sessions import Session


class Case(NamedTuple):
    """A graph of one operator: its attributes, the shape of its input, and constants that follow the input."""

    operator: str
    attributes: dict[str, Any]
    shape: list[int]
    constants: list[npt.NDArray[Any]]


AXES = np.array([1])
FLOATS = np.ones(3, np.float32)


def model(case: Case) -> onnx.ModelProto:
    """Return the graph from `in` to `out`."""
    constants = [numpy_helper.from_array(array, f"constant_{index}") for index, array in enumerate(case.constants)]
    inputs = ["in", *(tensor.name for tensor in constants)]
    node = helper.make_node(case.operator, inputs, ["out"], **case.attributes)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, case.shape)],
        [helper.make_empty_tensor_value_info("out")],
        constants,
    )
    return shape_inference.infer_shapes(graphs.make_model(graph))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param(Case("Relu", {}, [2, 3], []), 11, id="no change but of types"),
        pytest.param(Case("ReduceMean", {"keepdims": 0}, [2, 3], [AXES]), 11, id="axes of a reduction"),
        pytest.param(
            Case("ReduceSumSquare", {"noop_with_empty_axes": 0}, [2, 3], [AXES]), 11, id="option of a reduction"
        ),
        pytest.param(Case("Unsqueeze", {}, [2, 3], [AXES]), 11, id="axes of Unsqueeze"),
        pytest.param(Case("Softmax", {"axis": -1}, [2, 3], []), 11, id="softmax of a matrix"),
        pytest.param(Case("Softmax", {"axis": 1}, [2, 3, 4], []), 13, id="softmax of maps"),
        pytest.param(Case("HardSwish", {}, [2, 3], []), 14, id="operator of opset 14"),
        pytest.param(Case("LayerNormalization", {}, [2, 3], [FLOATS, FLOATS]), 17, id="operator of opset 17"),
        pytest.param(
            Case("Pad", {}, [2, 3], [np.array([0, 1]), np.array(1, np.float32), AXES]), 18, id="input of opset 18"
        ),
    ],
)
def test_the_opset_is_the_oldest_that_has_the_operator_and_the_numbers_stay(case: Case, expected: int) -> None:
    values = np.random.default_rng(0).normal(size=case.shape).astype(np.float32)
    source = model(case)
    lowered = lower_opset(source)
    onnx.checker.check_model(lowered, full_check=True)
    assert graphs.opset(lowered) == expected
    np.testing.assert_array_equal(Session(lowered, threads=1)(values), Session(source, threads=1)(values))


def test_the_newest_operator_decides_for_all_nodes() -> None:
    first, second = (model(Case(operator, {}, [2, 3], [])) for operator in ("Relu", "HardSwish"))
    second.graph.node[0].input[0] = "out"
    second.graph.node[0].output[0] = "end"
    first.graph.node.extend(second.graph.node)
    first.graph.output[0].name = "end"
    assert graphs.opset(lower_opset(first)) == 14


def test_a_least_opset_can_be_asked_for() -> None:
    assert graphs.opset(lower_opset(model(Case("Relu", {}, [2, 3], [])), lowest=15)) == 15


def test_a_graph_with_a_branch_stays_as_it_is() -> None:
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["value"], value=numpy_helper.from_array(FLOATS))],
        "branch",
        [],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, [3])],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["in"], ["out"], then_branch=branch, else_branch=branch)],
        "graph",
        [helper.make_tensor_value_info("in", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [3])],
    )
    source = graphs.make_model(graph)
    assert lower_opset(source) == source
