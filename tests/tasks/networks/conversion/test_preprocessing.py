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
    "none": np.float32(1),
    "scales": np.array([0.2, 0.3, 0.4], np.float32),
    "dark": np.array([0.2, 0, 0.4], np.float32),
    "means": np.array([-103.939, -116.779, -123.68], np.float32).reshape(1, 1, 1, 3),
    "rows": RANDOM.normal(size=(3, 1, 1)).astype(np.float32),
} | {str(number): np.array([number], np.int64) for number in range(4)}


def model(nodes: Nodes) -> onnx.ModelProto:
    """Return a model of these nodes from `pixels`, uint8 [N, 5, 5, 3], to `y`, and of a cast of them, `x`."""
    constants = [numpy_helper.from_array(values, name) for name, values in CONSTANTS.items()]
    source = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 5, 5, 3])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    cast = helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT)
    graph = helper.make_graph([cast, *nodes], "small", [source], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def chain(*steps: tuple[str, str]) -> Nodes:
    """Return operations with a constant, one after the other, from `x` to `values`."""
    names = ["x", *(f"step{place}" for place in range(1, len(steps))), "values"]
    return [
        helper.make_node(kind, [name, constant], [after])
        for (kind, constant), name, after in zip(steps, names[:-1], names[1:], strict=True)
    ]


def convolution(source: str = "values", weights: str = "weights", order: list[int] = FIRST, group: int = 1) -> Nodes:
    """Return a transpose and a convolution with zeros around its maps, from `source` to `y`."""
    bias = ["bias"] if weights == "weights" else []
    return [
        helper.make_node("Transpose", [source], ["turned"], perm=order),
        helper.make_node("Conv", ["turned", weights, *bias], ["y"], pads=[1, 1, 0, 2], strides=[2, 2], group=group),
    ]


def flip(axis: int = 3, places: tuple[int, ...] = (2, 1, 0)) -> Nodes:
    """Return what puts the channels of `x` in another order, to `flipped`."""
    parts = [
        helper.make_node("Slice", ["x", str(place), str(place + 1), str(axis)], [f"part{number}"])
        for number, place in enumerate(places)
    ]
    return [*parts, helper.make_node("Concat", [part.output[0] for part in parts], ["flipped"], axis=axis)]


TF = chain(("Mul", "scale"), ("Sub", "none"))
TORCH = chain(("Mul", "scale"), ("Add", "means"), ("Div", "scales"))
CAFFE = [*flip(), helper.make_node("Add", ["means", "flipped"], ["values"])]


@pytest.mark.parametrize("before", [TF, TORCH, CAFFE], ids=["tf", "torch", "caffe"])
def test_only_a_shift_is_left_before_the_first_convolution(before: Nodes) -> None:
    made = model([*before, *convolution()])
    pixels = RANDOM.integers(0, 256, (2, 5, 5, 3), np.uint8)
    expected = Session(made, 1)(pixels)
    fuse_preprocessing(made)
    onnx.checker.check_model(made, full_check=True)
    np.testing.assert_allclose(Session(made, 1)(pixels), expected, rtol=2e-5, atol=2e-5)
    makers = {node.output[0]: node for node in made.graph.node}
    found, name = [], "y"
    while name != "pixels":
        found.append(makers[name].op_type)
        name = makers[name].input[0]
    assert found == ["Conv", "Add", "Transpose", "Cast"]


@pytest.mark.parametrize(
    "nodes",
    [
        convolution("x"),
        [*chain(("Mul", "none")), *convolution()],
        [*TF, *convolution(order=LAST, weights="5x5")],
        [*TF, *convolution(weights="depthwise", group=3)],
        [*chain(("Mul", "dark"), ("Sub", "none")), *convolution()],
        [*chain(("Add", "rows")), *convolution()],
        [helper.make_node("Sub", ["none", "x"], ["values"]), *convolution()],
        [helper.make_node("Mul", ["x", "x"], ["values"]), *convolution()],
        [*flip(axis=2), *convolution("flipped")],
        [*flip(places=(0, 0, 1)), *convolution("flipped")],
        [*TF, helper.make_node("Relu", ["values"], ["bent"]), *convolution("bent")],
    ],
    ids=[
        *("nothing to do", "a factor of 1", "another order of axes", "a convolution of each channel alone"),
        *("a channel that is lost", "rows that differ", "a constant less pixels", "pixels times pixels"),
        *("rows in another order", "a channel twice", "an activation between"),
    ],
)
def test_a_beginning_of_another_kind_stays_as_it_is(nodes: Nodes) -> None:
    made = model(nodes)
    before = made.SerializeToString(deterministic=True)
    fuse_preprocessing(made)
    assert made.SerializeToString(deterministic=True) == before


def test_who_else_reads_the_normalised_pixels_gets_them_as_before() -> None:
    made = model([*TF, helper.make_node("Identity", ["values"], ["y"]), *convolution()[:1]])
    kernel = helper.make_node("Conv", ["turned", "weights"], ["maps"])
    made.graph.node.append(kernel)
    made.graph.output.append(helper.make_tensor_value_info("maps", TensorProto.FLOAT, [None] * 4))
    pixels = RANDOM.integers(0, 256, (2, 5, 5, 3), np.uint8)
    expected = Session(made, 1)(pixels)
    fuse_preprocessing(made)
    assert made.graph.node[-1].input[0] != "turned"
    np.testing.assert_array_equal(Session(made, 1)(pixels), expected)
