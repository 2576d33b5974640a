from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.onnx.int8.fusion import fuse
from tests.tasks.conftest import noise
from tests.tasks.onnx.int8.small_networks import SIZE, Network, compute


def assert_equal_vectors(actual: onnx.ModelProto, expected: onnx.ModelProto, seed: int) -> None:
    """Compare all outputs of two models for random images, up to rounding in float32."""
    tensors = [output.name for output in expected.graph.output]
    batch = np.stack([noise(seed % 1000 + number, SIZE, SIZE) for number in range(2)])
    vectors = [compute(model, tensors, batch, "onnxruntime") for model in (actual, expected)]
    for actual_vectors, expected_vectors in zip(*vectors, strict=True):
        tolerance = 1e-5 * np.abs(expected_vectors).max()
        np.testing.assert_allclose(actual_vectors, expected_vectors, atol=tolerance, rtol=1e-5)


@settings(max_examples=40)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_a_fused_graph_computes_the_same_vectors(data: st.DataObject, seed: int) -> None:
    network = Network(seed)
    for _ in range(data.draw(st.integers(1, 3))):
        top, left, bottom, right = data.draw(st.tuples(*[st.integers(0, 2)] * 4))
        if data.draw(st.booleans()):
            network.node("Pad", np.array([0, 0, top, left, 0, 0, bottom, right]))
        depthwise = data.draw(st.booleans())
        channels = network.channels if depthwise else data.draw(st.integers(1, 5))
        network.conv(channels, depthwise=depthwise, bias=data.draw(st.booleans()))
        for step in data.draw(st.lists(st.sampled_from(["Mul", "Add", "Relu", "tap"]), max_size=4)):
            if step == "tap":
                network.tap(f"tap {len(network.model().graph.output)}")
            else:
                values = data.draw(st.sampled_from([network.per_channel(), network.per_channel()[0], np.float32(0.5)]))
                network.node(step, *([] if step == "Relu" else [values]))
    network.tap("features")
    assert_equal_vectors(fuse(network.model()), network.model(), seed)


def add_own_result(network: Network) -> None:
    maps = network.conv(4)
    network.node("Mul", network.per_channel())
    network.node("Add", maps)


def scale_columns(network: Network) -> None:
    network.conv(SIZE)
    network.node("Mul", np.linspace(0.5, 2, SIZE, dtype=np.float32))


def pad_with_ones(network: Network) -> None:
    network.node("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(1))
    network.conv(4)


def pad_channels(network: Network) -> None:
    network.node("Pad", np.array([0, 1, 0, 0, 0, 0, 0, 0]))
    network.channels += 1
    network.conv(4)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(add_own_result, id="result read twice"),
        pytest.param(scale_columns, id="constant per column"),
        pytest.param(pad_with_ones, id="padding with ones"),
        pytest.param(pad_channels, id="padding of channels"),
    ],
)
def test_operations_that_a_convolution_cannot_absorb_keep_their_effect(write: Callable[[Network], None]) -> None:
    network = Network(0)
    write(network)
    network.tap("features")
    assert_equal_vectors(fuse(network.model()), network.model(), seed=0)


def test_padding_scales_and_shifts_around_a_convolution_cost_no_operator() -> None:
    network = Network(0)
    network.node("Pad", np.array([0, 0, 1, 0, 0, 0, 0, 1]))
    network.conv(4)
    for op_type in ("Mul", "Add", "Mul"):
        network.node(op_type, network.per_channel())
    network.tap("features")
    operators = [node.op_type for node in fuse(network.model()).graph.node]
    assert operators[operators.index("Transpose") + 1 :] == ["Conv", "ReduceMean"]
