import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tasks.networks.conversion.preprocessing import fuse_preprocessing
from tasks.onnx.sessions import Session

Nodes = list[onnx.NodeProto]
LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
RANDOM = np.random.default_rng(0)
CONSTANTS = {
    "weights": RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32),
    "depthwise": RANDOM.normal(size=(3, 1, 3, 3)).astype(np.float32),
    "bias": RANDOM.normal(size=4).astype(np.float32),
    "scale": np.float32(1 / 127.5),
    "one": np.float32(1),
    "scales": np.array([0.2, 0.3, 0.4], np.float32),
    "zero in it": np.array([0.2, 0, 0.4], np.float32),
    "means": np.array([-103.939, -116.779, -123.68], np.float32).reshape(1, 1, 1, 3),
    "rows": RANDOM.normal(size=(3, 1, 1)).astype(np.float32),
} | {str(number): np.array([number], np.int64) for number in range(4)}


def model(nodes: Nodes) -> onnx.ModelProto:
    """Return a model of these nodes from `pixels`, uint8 [N, 5, 5, 3], to `y`, and of a cast of them, `x`."""
    constants = [numpy_helper.from_array(np.asarray(values), name) for name, values in CONSTANTS.items()]
    source = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 5, 5, 3])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    cast = helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT)
    graph = helper.make_graph([cast, *nodes], "small", [source], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def chain(*steps: tuple[str, str]) -> Nodes:
    """Return a chain of operations with constants, from `x` to `values`."""
    names = ["x", *(f"step{number}" for number in range(1, len(steps))), "values"]
    return [
        helper.make_node(kind, [source, constant], [result])
        for (kind, constant), source, result in zip(steps, names[:-1], names[1:], strict=True)
    ]


def convolution(source: str = "values", weights: str = "weights", order: list[int] = FIRST, group: int = 1) -> Nodes:
    """Return a transpose and a convolution padded with zeros, from `source` to `y`."""
    bias = ["bias"] if weights == "weights" else []
    return [
        helper.make_node("Transpose", [source], ["transposed"], perm=order),
        helper.make_node("Conv", ["transposed", weights, *bias], ["y"], pads=[1, 1, 0, 2], strides=[2, 2], group=group),
    ]


def flip(axis: int = 3, channels: tuple[int, ...] = (2, 1, 0)) -> Nodes:
    """Return slices of `x` and their concatenation in another order, `flipped`."""
    parts = [
        helper.make_node("Slice", ["x", str(channel), str(channel + 1), str(axis)], [f"part{number}"])
        for number, channel in enumerate(channels)
    ]
    return [*parts, helper.make_node("Concat", [part.output[0] for part in parts], ["flipped"], axis=axis)]


TF = chain(("Mul", "scale"), ("Sub", "one"))
TORCH = chain(("Mul", "scale"), ("Add", "means"), ("Div", "scales"))
CAFFE = [*flip(), helper.make_node("Add", ["means", "flipped"], ["values"])]


@pytest.mark.parametrize("preprocessing", [TF, TORCH, CAFFE], ids=["tf", "torch", "caffe"])
def test_only_a_shift_stays_before_the_first_convolution(preprocessing: Nodes) -> None:
    fused = model([*preprocessing, *convolution()])
    pixels = RANDOM.integers(0, 256, (2, 5, 5, 3), np.uint8)
    expected = Session(fused, 1)(pixels)
    fuse_preprocessing(fused)
    onnx.checker.check_model(fused, full_check=True)
    np.testing.assert_allclose(Session(fused, 1)(pixels), expected, rtol=2e-5, atol=2e-5)
    producers = {node.output[0]: node for node in fused.graph.node}
    operations, name = [], "y"
    while name != "pixels":
        operations.append(producers[name].op_type)
        name = producers[name].input[0]
    assert operations == ["Conv", "Add", "Transpose", "Cast"]


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param(convolution("x"), id="nothing to fold"),
        pytest.param([*chain(("Mul", "one")), *convolution()], id="a factor of 1"),
        pytest.param([*TF, *convolution(order=LAST, weights="5x5")], id="another order of axes"),
        pytest.param([*TF, *convolution(weights="depthwise", group=3)], id="a depthwise convolution"),
        pytest.param([*chain(("Mul", "zero in it"), ("Sub", "one")), *convolution()], id="a channel that is lost"),
        pytest.param([*chain(("Add", "rows")), *convolution()], id="rows that differ"),
        pytest.param([helper.make_node("Sub", ["one", "x"], ["values"]), *convolution()], id="a constant less pixels"),
        pytest.param([helper.make_node("Mul", ["x", "x"], ["values"]), *convolution()], id="pixels times pixels"),
        pytest.param([*flip(axis=2), *convolution("flipped")], id="rows in another order"),
        pytest.param([*flip(channels=(0, 0, 1)), *convolution("flipped")], id="a channel twice"),
        pytest.param(
            [*TF, helper.make_node("Relu", ["values"], ["activated"]), *convolution("activated")],
            id="an activation between",
        ),
    ],
)
def test_a_beginning_of_another_kind_stays_as_it_is(nodes: Nodes) -> None:
    network = model(nodes)
    before = network.SerializeToString(deterministic=True)
    fuse_preprocessing(network)
    assert network.SerializeToString(deterministic=True) == before


def test_other_readers_of_the_preprocessed_pixels_get_them_as_before() -> None:
    fused = model([*TF, helper.make_node("Identity", ["values"], ["y"]), *convolution()[:1]])
    fused.graph.node.append(helper.make_node("Conv", ["transposed", "weights"], ["maps"]))
    fused.graph.output.append(helper.make_tensor_value_info("maps", TensorProto.FLOAT, [None] * 4))
    pixels = RANDOM.integers(0, 256, (2, 5, 5, 3), np.uint8)
    expected = Session(fused, 1)(pixels)
    fuse_preprocessing(fused)
    assert fused.graph.node[-1].input[0] != "transposed"
    np.testing.assert_array_equal(Session(fused, 1)(pixels), expected)
