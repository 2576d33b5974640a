"""What our passes leave of a converted graph."""

import keras
import pytest

from tasks.networks.conversion.keras_to_onnx import convert_base

BLOCKS = 4


@pytest.fixture(scope="module")
def squeezed() -> keras.Model:
    """Build squeeze-and-excitation blocks: their maps of one pixel are where transposes turn to reshapes."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = x = keras.Input((16, 16, 3))
    for _ in range(BLOCKS):
        x = layers.Conv2D(48, 3, padding="same", activation="swish")(x)
        weights = layers.Reshape((1, 1, 48))(layers.GlobalAveragePooling2D()(x))
        weights = layers.Conv2D(4, 1, activation="swish")(weights)
        x = layers.multiply([x, layers.Conv2D(48, 1, activation="sigmoid")(weights)])
    return keras.Model(image, x)


def test_a_reshape_to_the_shape_that_is_there_is_left_out(squeezed: keras.Model) -> None:
    nodes = convert_base(squeezed, 16, "none", "avg").graph.node
    assert sum(node.op_type == "Reshape" for node in nodes) == BLOCKS
    assert sum(node.op_type == "Transpose" for node in nodes) == 1


def test_a_network_becomes_the_same_bytes_each_time(squeezed: keras.Model) -> None:
    graphs = [convert_base(squeezed, 16, "none", "avg").SerializeToString(deterministic=True) for _ in range(5)]
    assert len(set(graphs)) == 1
