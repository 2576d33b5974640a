import keras
import numpy as np
import onnx
import pytest

from tasks.networks import cuts
from tasks.networks.conversion.keras_to_onnx import convert_base, preprocess, tap_vectors
from tasks.networks.conversion.substitutions import convertible
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
    [with_grouped_convolution, with_constant_normalization, with_exact_gelu, with_scalar_after_convolution],
)
def test_what_the_converter_lacks_is_converted_and_equals_keras(parts: object) -> None:
    model = network(parts())  # type: ignore[operator]
    graph = convert_base(model, 16, "tf", "avg")
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    [expected] = tap_vectors(model, preprocess(images, "tf"), "avg")
    largest = np.abs(np.asarray(expected)).max()
    np.testing.assert_allclose(Session(graph, 1)(images), np.asarray(expected), rtol=0, atol=2e-6 * largest)


def test_a_network_that_converts_as_it_is_stays_the_very_same() -> None:
    model = network([layers.Conv2D(4, 3), layers.Conv2D(4, 3, groups=2)])
    assert convertible(model) is model


def test_replacing_layers_leaves_the_network_and_its_cuts_as_they_were() -> None:
    model = network(with_grouped_convolution())
    before, weights = cuts.find_cuts(model), model.get_weights()
    convertible(model)
    assert cuts.find_cuts(model) == before
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_taps_are_named_with_their_layers_and_widths_in_the_graph() -> None:
    model = network([layers.Conv2D(4, 3, name="low"), layers.Conv2D(6, 3, name="high")])
    graph = convert_base(cuts.truncate(model, ["low", "high"]), 16, "tf", "max")
    assert [entry.key for entry in graph.metadata_props] == ["taps"]
    assert [output.name for output in graph.graph.output] == ["features"]
    onnx.checker.check_model(graph, full_check=True)
