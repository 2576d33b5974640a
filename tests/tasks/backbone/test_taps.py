"""The choice of taps, and the outputs that can be taps."""

from collections.abc import Callable

import keras
import pytest

from tasks.backbone.taps import choose_taps, select_taps
from tasks.common.errors import GraftError
from tests.tasks.networks.small_models import application

layers = keras.layers


def vit(blocks: int, *, normalized: bool = True) -> keras.Model:
    """Return a network of tokens: patches, blocks of attention and of dense layers, and a normalization at the end."""
    source = keras.Input((32, 32, 3))
    values = layers.Reshape((-1, 8), name="tokens")(layers.Conv2D(8, 8, strides=8, name="patches")(source))
    for number in range(1, blocks + 1):
        attention = layers.MultiHeadAttention(2, 4, name=f"block{number}_attention")(values, values)
        values = layers.Add(name=f"block{number}_add_1")([values, attention])
        dense = layers.Dense(8, name=f"block{number}_dense")(values)
        values = layers.Add(name=f"block{number}_add_2")([values, dense])
    return keras.Model(source, layers.LayerNormalization(name="norm")(values) if normalized else values)


def without_blocks() -> keras.Model:
    source = keras.Input((32, 32, 3))
    values = layers.Reshape((-1, 8), name="tokens")(layers.Conv2D(8, 8, strides=8, name="patches")(source))
    for number in range(1, 8):
        values = layers.Dense(8, name=f"dense_{number}")(values)
    return keras.Model(source, values)


def convolutions(*top: keras.Layer) -> keras.Model:
    """Return a network whose maps have half the side after each padding and convolution, with `top` above them."""
    values = source = keras.Input((32, 32, 3))
    for number in range(1, 4):
        padded = layers.ZeroPadding2D(name=f"pad_{number}")(values)
        values = layers.ReLU(name=f"relu_{number}")(layers.Conv2D(4, 3, 2, name=f"conv_{number}")(padded))
    for layer in top:
        values = layer(values)
    return keras.Model(source, values)


@pytest.mark.parametrize(
    ("build", "pooling", "taps"),
    [
        pytest.param(
            lambda: application("MobileNet", alpha=0.25),
            "avg",
            ["conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_13_relu"],
            id="MobileNet",
        ),
        pytest.param(
            lambda: application("ResNet50"),
            "max",
            ["conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"],
            id="ResNet50",
        ),
        pytest.param(
            lambda: application("VGG16"),
            "avg",
            ["block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"],
            id="VGG16",
        ),
        pytest.param(
            lambda: application("MobileNetV2", alpha=0.35),
            "avg",
            ["block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu", "out_relu"],
            id="MobileNetV2",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            lambda: application("DenseNet121"),
            "avg",
            ["pool2_conv", "pool3_conv", "pool4_conv", "relu"],
            id="DenseNet121",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            lambda: application("EfficientNetB0"),
            "avg",
            ["block3a_expand_activation", "block4a_expand_activation", "block6a_expand_activation", "top_activation"],
            id="EfficientNetB0",
            marks=pytest.mark.thorough,
        ),
        pytest.param(convolutions, "avg", ["relu_1", "relu_2", "relu_3"], id="fewer sizes, no padding"),
        pytest.param(convolutions, "none", ["relu_3"], id="flattened maps: the last layer alone"),
        pytest.param(
            lambda: convolutions(layers.GlobalAveragePooling2D(name="pooled")),
            "avg",
            ["relu_1", "relu_2", "pooled"],
            id="not the maps below their own pooled vector",
        ),
        pytest.param(
            lambda: convolutions(layers.Flatten(name="flat"), layers.Dense(3, name="dense")),
            "avg",
            ["relu_1", "relu_2", "relu_3", "dense"],
            id="a dense layer above the maps",
        ),
        pytest.param(lambda: vit(8), "cls", ["block2_add_2", "block4_add_2", "block6_add_2", "norm"], id="8 blocks"),
        pytest.param(
            lambda: vit(4, normalized=False),
            "avg",
            ["block1_add_2", "block2_add_2", "block3_add_2", "block4_add_2"],
            id="4 blocks without a normalization at the end",
        ),
        pytest.param(lambda: vit(1), "avg", ["block1_add_1", "norm"], id="1 block"),
        pytest.param(without_blocks, "avg", ["dense_1", "dense_3", "dense_5", "dense_7"], id="tokens without blocks"),
    ],
)
def test_auto_means_few_taps_at_different_depths_up_to_the_last_layer(
    build: Callable[[], keras.Model], pooling: str, taps: list[str]
) -> None:
    model = build()
    assert choose_taps(model, pooling) == taps
    selected = select_taps(model, "network", None, "auto", pooling)
    assert len(keras.tree.flatten(selected.outputs)) == len(taps)


def test_auto_ends_at_the_cut() -> None:
    part = select_taps(convolutions(), "network", "pad_3", "auto", "avg")
    assert part.output_names == ["relu_1", "pad_3"]


def test_the_first_token_of_maps_is_refused() -> None:
    with pytest.raises(GraftError) as caught:
        select_taps(convolutions(), "network", None, None, "cls")
    assert str(caught.value) == (
        "backbone.pooling is cls, the first token, but layer 'relu_3' of network has maps [N, 4, 4, 4]. "
        "Set backbone.pooling to avg, max or none."
    )


def test_an_output_that_no_pooling_makes_a_vector_of_is_refused() -> None:
    model = convolutions(layers.Reshape((2, 2, 4, 4), name="windows"))
    with pytest.raises(GraftError) as caught:
        select_taps(model, "network", None, ["relu_3", "windows"], "avg")
    assert str(caught.value) == (
        "layer 'windows' of network has an output [N, 2, 2, 4, 4]; expected maps [N, H, W, C], tokens [N, T, D] or a "
        "vector [N, D]. Name another cut in backbone.cut or features.taps."
    )
