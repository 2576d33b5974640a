from collections.abc import Callable

import keras
import numpy as np
import pytest

from tasks.networks import cuts
from tasks.networks.conversion.keras_to_onnx import convert_base, preprocess, tap_vectors
from tasks.networks.conversion.substitutions import convertible
from tasks.onnx.resize import Resize
from tasks.onnx.sessions import Session

layers = keras.layers


def with_grouped_convolution() -> list[keras.layers.Layer]:
    return [layers.Conv2D(4, 1), layers.Conv2D(4, 3, groups=4, padding="same", strides=2, bias_initializer="ones")]


def with_constant_normalization() -> list[keras.layers.Layer]:
    return [layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 0.0, 0.25]), layers.Conv2D(4, 3)]


def with_exact_gelu() -> list[keras.layers.Layer]:
    return [layers.Conv2D(4, 3), layers.Activation("gelu")]


def with_scalar_after_convolution() -> list[keras.layers.Layer]:
    return [layers.Conv2D(4, 3, use_bias=False), layers.Activation("hard_silu")]


def network(parts: list[keras.layers.Layer]) -> keras.Model:
    keras.utils.set_random_seed(1)
    source = values = keras.Input((16, 16, 3))
    for part in parts:
        values = part(values)
    return keras.Model(source, values)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(with_grouped_convolution, id="a group for each channel"),
        pytest.param(with_constant_normalization, id="normalization by constants"),
        pytest.param(with_exact_gelu, id="exact GELU"),
        pytest.param(with_scalar_after_convolution, id="a scalar added after a convolution"),
    ],
)
def test_layers_that_tf2onnx_lacks_are_converted_and_equal_keras(parts: Callable[[], list[keras.layers.Layer]]) -> None:
    model = network(parts())
    graph = convert_base(model, Resize(16), "tf", "avg")
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    [expected] = tap_vectors(model, preprocess(images, "tf"), "avg")
    largest = np.abs(np.asarray(expected)).max()
    np.testing.assert_allclose(Session(graph, 1)(images), np.asarray(expected), rtol=0, atol=2e-6 * largest)


def test_a_network_that_tf2onnx_can_convert_is_returned_as_it_is() -> None:
    model = network([layers.Conv2D(4, 3), layers.Conv2D(4, 3, groups=2)])
    assert convertible(model) is model


def test_substitution_leaves_the_original_network_and_its_cuts_unchanged() -> None:
    model = network(with_grouped_convolution())
    cuts_before, weights_before = cuts.find_cuts(model), model.get_weights()
    convertible(model)
    assert cuts.find_cuts(model) == cuts_before
    for after, before in zip(model.get_weights(), weights_before, strict=True):
        np.testing.assert_array_equal(after, before)
