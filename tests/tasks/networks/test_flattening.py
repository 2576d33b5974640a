from collections.abc import Callable

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.common.errors import GraftError
from tasks.networks.cuts import find_cuts, truncate
from tasks.networks.flattening import flatten
from tests.tasks.networks.small_models import are_equal, randomize

layers = keras.layers
SIZE = 8
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)


def block(name: str, *names: str) -> keras.Model:
    """Return a model from maps of three channels to maps of three channels, with a branch and a BatchNorm."""
    source = keras.Input((None, None, 3))
    first, norm, joined = names or ("conv", "bn", "add")
    values = layers.BatchNormalization(name=norm)(layers.Conv2D(3, 3, padding="same", name=first)(source))
    return keras.Model(source, layers.Add(name=joined)([source, values]), name=name)


def sequential(name: str, *inside: keras.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((None, None, 3)), *inside], name=name)


def one_inside() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    inner = block("inner")(layers.Rescaling(1 / 255, name="rescaling")(source))
    return keras.Model(source, layers.ReLU(name="end")(inner), name="whole")


def ends_in_a_model() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    return keras.Model(source, block("inner")(source, training=False))


def three_levels() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    middle = sequential("middle", layers.ReLU(name="low"), sequential("deep", block("deepest")))
    return keras.Model(source, middle(inputs=source))


def names_twice() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    outer = layers.Conv2D(3, 1, name="conv")(source)
    return keras.Model(source, block("right")(block("left")(outer)))


def prefixed_name_is_taken() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    outer = layers.ReLU(name="left_conv")(layers.ReLU(name="conv")(source))
    return keras.Model(source, block("left")(outer))


def model_called_twice() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    inner = block("inner")
    return keras.Model(source, layers.ReLU(name="end")(inner(layers.ReLU(name="between")(inner(source)))))


def layer_called_twice_at_the_end() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    conv = layers.Conv2D(3, 3, padding="same", name="conv")
    return keras.Model(source, conv(conv(source)))


def two_inputs_inside() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    left, right = keras.Input((SIZE, SIZE, 3), name="z"), keras.Input((SIZE, SIZE, 3), name="a")
    inner = keras.Model([left, right], layers.Subtract(name="difference")([left, right]), name="inner")
    return keras.Model(source, inner({"z": source, "a": layers.Conv2D(3, 1, name="conv")(source)}))


def ends_in_an_operation() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    return keras.Model(source, keras.ops.relu(layers.Conv2D(2, 3, name="conv")(source)) * 2)


def chain() -> keras.Model:
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    return keras.Sequential([source, layers.Conv2D(4, 3, name="conv"), layers.Dense(2, name="dense")])


def part_of_a_larger_model() -> keras.Model:
    """Return a model that begins inside another, so that the first calls of its layers lie in the other one."""
    whole = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Conv2D(3, 1), layers.Conv2D(4, 3, name="conv")])
    source = keras.Input((SIZE, SIZE, 3), name="pixels")
    return keras.Model(source, whole.layers[-1](source))


NESTED: dict[Callable[[], keras.Model], tuple[list[str], list[str]]] = {
    one_inside: (["rescaling", "conv", "bn", "add", "end"], ["rescaling", "add", "end"]),
    ends_in_a_model: (["conv", "bn", "add"], ["add"]),
    three_levels: (["low", "conv", "bn", "add"], ["low", "add"]),
    names_twice: (
        ["conv", "left_conv", "bn", "add", "right_conv", "right_bn", "right_add"],
        ["conv", "add", "right_add"],
    ),
    prefixed_name_is_taken: (["conv", "left_conv", "left_conv_1", "bn", "add"], ["conv", "left_conv", "add"]),
    model_called_twice: (["conv", "bn", "add", "between", "end"], ["between", "end"]),
    layer_called_twice_at_the_end: (["conv", "output"], ["output"]),
    two_inputs_inside: (["conv", "difference"], ["difference"]),
    ends_in_an_operation: (["conv", "output"], ["conv", "output"]),
    chain: (["conv", "dense"], ["conv", "dense"]),
    part_of_a_larger_model: (["conv"], ["conv"]),
}
NETWORKS = pytest.mark.parametrize("build", NESTED, ids=[build.__name__ for build in NESTED])


def run(model: keras.Model) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(model(IMAGES, training=False))


@NETWORKS
def test_a_flat_model_has_the_outputs_of_the_nested_one_and_no_model_inside(build: Callable[[], keras.Model]) -> None:
    nested = build()
    randomize(nested, seed=1)
    flat = flatten(nested)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    assert flat.name == nested.name
    np.testing.assert_allclose(run(flat), run(nested), rtol=1e-6)
    rebuilt = keras.models.model_from_json(flat.to_json())
    rebuilt.set_weights(flat.get_weights())
    np.testing.assert_array_equal(run(rebuilt), run(flat))


@NETWORKS
def test_the_layers_inside_have_unique_names_and_cuts_of_their_own(build: Callable[[], keras.Model]) -> None:
    flat = flatten(build())
    names, cuts = NESTED[build]
    assert sorted(layer.name for layer in flat.layers) == sorted(["pixels", *names])
    assert find_cuts(flat) == cuts
    for name, output in zip(cuts, truncate(flat, cuts).outputs, strict=True):
        assert truncate(flat, [name]).output_shape == output.shape


def test_layers_called_several_times_stay_shared() -> None:
    nested = model_called_twice()
    flat = flatten(nested)
    assert flat.count_params() == nested.count_params()
    assert len(flat.get_layer("conv")._inbound_nodes) == 2  # noqa: SLF001  Keras has no public list of calls


def test_a_flat_functional_model_is_returned_as_it_is() -> None:
    source = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(source, layers.Conv2D(2, 3)(source))
    assert flatten(model) is model


def test_flattening_leaves_the_nested_model_as_it_was() -> None:
    nested = names_twice()
    randomize(nested, seed=2)
    text, weights = nested.to_json(), nested.get_weights()
    flatten(nested)
    assert nested.to_json() == text
    assert are_equal(nested.get_weights(), weights)


def test_a_layer_whose_values_follow_from_its_weights_keeps_them() -> None:
    normalization = layers.Normalization(name="normalization")
    normalization.adapt(IMAGES)
    nested = keras.Sequential([keras.Input((SIZE, SIZE, 3)), sequential("inner", normalization)])
    np.testing.assert_array_equal(run(flatten(nested)), run(nested))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        pytest.param("mask", "the model 'inner' is called with mask inside another;", id="options"),
        pytest.param("subclass", "the model 'mine' of class Mine cannot be flattened;", id="subclass"),
    ],
)
def test_a_model_that_cannot_be_flattened_is_named(option: str, message: str) -> None:
    subclass = type("Mine", (keras.Model,), {"call": lambda _, values: values})
    source = keras.Input((SIZE, SIZE, 3))
    output = subclass(name="mine")(source) if option == "subclass" else block("inner")(source, mask=source)
    with pytest.raises(GraftError) as caught:
        flatten(keras.Model(source, output))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@st.composite
def nested_graphs(draw: st.DrawFn, depth: int = 2) -> keras.Model:
    """Draw a model from maps of three channels to such maps, of layers, branches and models, some called twice."""
    source = keras.Input((SIZE, SIZE, 3))
    values = [source]
    for _ in range(draw(st.integers(1, 3))):
        last = values[-1]
        match draw(st.sampled_from(["conv", "join", "relu", *["model"] * (depth > 0)])):
            case "conv":
                values.append(layers.Conv2D(3, 1, name=draw(st.sampled_from([None, f"conv_{len(values)}"])))(last))
            case "join":
                values.append(layers.Average()([last, draw(st.sampled_from(values))]))
            case "relu":
                values.append(keras.ops.relu(last))
            case "model":
                inner = draw(nested_graphs(depth=depth - 1))
                values.append(inner(inner(last)) if draw(st.booleans()) else inner(last))
    return keras.Model(source, values[-1])


@settings(max_examples=12)
@given(nested_graphs())
def test_any_nested_graph_keeps_its_outputs(nested: keras.Model) -> None:
    flat = flatten(nested)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    np.testing.assert_allclose(run(flat), run(nested), rtol=1e-5, atol=1e-3)
