import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from tasks.networks.conversion.keras_to_onnx import convert_base
from tasks.onnx.resize import Resize

SIZE = 16


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Build squeeze-and-excitation blocks with a tap at each.

    Their maps of one pixel make tf2onnx turn transposes into reshapes, and taps add transposes.
    """
    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = values = keras.Input((SIZE, SIZE, 3))
    taps = []
    for _ in range(3):
        values = layers.Conv2D(48, 3, padding="same", activation="swish")(values)
        weights = layers.Reshape((1, 1, 48))(layers.GlobalAveragePooling2D()(values))
        weights = layers.Conv2D(4, 1, activation="swish")(weights)
        values = layers.multiply([values, layers.Conv2D(48, 1, activation="sigmoid")(weights)])
        taps.append(values)
    return keras.Model(image, taps)


@pytest.fixture(scope="module")
def graph(network: keras.Model) -> onnx.ModelProto:
    return convert_base(network, Resize(SIZE), "none", "avg")


def shapes(graph: onnx.ModelProto, operation: str) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the shapes before and after each node of that type, with a batch of two images."""
    nodes = [node for node in graph.graph.node if node.op_type == operation]
    names = [name for node in nodes for name in (node.input[0], node.output[0])]
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(names))
    # Without optimization, so that ONNX Runtime keeps the tensors between the nodes.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    images = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    tensors = iter(session.run(names, {"image": images}))
    return [(next(tensors).shape, next(tensors).shape) for _ in nodes]


def test_no_reshape_to_the_same_shape_is_left(graph: onnx.ModelProto) -> None:
    reshapes = shapes(graph, "Reshape")
    assert reshapes
    assert all(before != after for before, after in reshapes)


def test_only_the_image_is_transposed(graph: onnx.ModelProto) -> None:
    assert shapes(graph, "Transpose") == [((2, SIZE, SIZE, 3), (2, 3, SIZE, SIZE))]


def test_a_network_becomes_the_same_bytes_each_time(network: keras.Model, graph: onnx.ModelProto) -> None:
    first = graph.SerializeToString(deterministic=True)
    for _ in range(3):
        assert convert_base(network, Resize(SIZE), "none", "avg").SerializeToString(deterministic=True) == first
