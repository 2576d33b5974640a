from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tasks.common.errors import GraftError
from tasks.onnx import graphs
from tasks.onnx.float16 import store_in_half, to_float16
from tasks.onnx.sessions import Session
from tests.tasks.conftest import noise

IMAGES = np.stack([noise(seed, 8, 8) for seed in range(3)])


def base(scale: float = 1.0, weights: npt.NDArray[np.float32] | None = None) -> onnx.ModelProto:
    """Return two convolutions and a mean over the area, from uint8 [N, 8, 8, 3] to float32 [N, 4]."""
    values = np.random.default_rng(0)
    constants: dict[str, npt.NDArray[Any]] = {
        "first": scale * values.normal(0, 0.1, (5, 3, 3, 3)).astype(np.float32),
        "second": values.normal(0, 0.1, (4, 5, 1, 1)).astype(np.float32) if weights is None else weights,
        "divisor": np.array(255, np.float32),
        "axes": np.array([2, 3]),
    }
    nodes = [
        helper.make_node("Cast", ["resized"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "divisor"], ["values"]),
        helper.make_node("Transpose", ["values"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "first"], ["maps"]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("Conv", ["positive", "second"], ["narrow"]),
        helper.make_node("ReduceMean", ["narrow", "axes"], ["features"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "base",
        [helper.make_tensor_value_info("resized", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", len(constants["second"])])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return graphs.make_model(graph)


def kinds(model: onnx.ModelProto) -> Counter[int]:
    """Return how many constants there are of each type."""
    return Counter(tensor.data_type for tensor in model.graph.initializer)


def test_layers_compute_in_half_precision_and_sums_over_maps_in_float32() -> None:
    source = base()
    model = to_float16(source, IMAGES)
    onnx.checker.check_model(model, full_check=True)
    assert kinds(model) == {TensorProto.FLOAT16: 2, TensorProto.FLOAT: 1, TensorProto.INT64: 1}
    # From pixels to float32, to half precision before the first layer, and back before the sum.
    assert [node.op_type for node in model.graph.node] == [
        "Cast", "Div", "Cast", "Transpose", "Conv", "Relu", "Conv", "Cast", "ReduceMean",
    ]  # fmt: skip
    expected = Session(source, threads=1)(IMAGES)
    features = Session(model, threads=1)(IMAGES)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=2e-3)
    assert not np.array_equal(features, expected)


def test_a_layer_with_values_near_the_limit_stays_in_float32() -> None:
    source = base(scale=1e5)
    model = to_float16(source, IMAGES)
    assert kinds(model)[TensorProto.FLOAT16] == 0
    np.testing.assert_allclose(Session(model, threads=1)(IMAGES), Session(source, threads=1)(IMAGES), rtol=1e-3)


@pytest.mark.parametrize(
    "value", [pytest.param(7e4, id="too large"), pytest.param(1e-9, id="all too small"), pytest.param(np.nan, id="NaN")]
)
def test_a_layer_whose_weights_do_not_fit_stays_in_float32(value: float) -> None:
    weights = np.full((4, 5, 1, 1), value, np.float32)
    assert kinds(to_float16(base(weights=weights), IMAGES))[TensorProto.FLOAT16] == 1


def test_an_output_of_a_layer_in_half_precision_keeps_its_name_and_its_type() -> None:
    source = graphs.extract(onnx.shape_inference.infer_shapes(base()), "resized", "narrow")
    model = to_float16(source, IMAGES)
    onnx.checker.check_model(model, full_check=True)
    assert [output.name for output in model.graph.output] == ["narrow"]
    np.testing.assert_allclose(Session(model, threads=1)(IMAGES), Session(source, threads=1)(IMAGES), atol=2e-3)


def test_a_base_without_such_layers_is_refused() -> None:
    source = graphs.extract(onnx.shape_inference.infer_shapes(base()), "resized", "values")
    with pytest.raises(GraftError) as caught:
        to_float16(source, IMAGES)
    assert str(caught.value) == "no layer of the base can be computed in half precision."


def test_equal_bases_have_equal_bytes() -> None:
    first, second = (to_float16(base(), IMAGES).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_large_weights_are_stored_in_half_precision_and_used_in_float32() -> None:
    weights = np.random.default_rng(0).normal(size=(512, 5, 1, 1)).astype(np.float32)
    source = base(weights=weights)
    compact = store_in_half(source)
    onnx.checker.check_model(compact, full_check=True)
    assert kinds(compact)[TensorProto.FLOAT16] == 1
    assert compact.ByteSize() < 0.6 * source.ByteSize()
    np.testing.assert_allclose(Session(compact, threads=1)(IMAGES), Session(source, threads=1)(IMAGES), atol=1e-2)
