import json
from collections.abc import Callable

import keras
import numpy as np
import pytest

from tasks.common.errors import GraftError
from tasks.networks.conversion.keras_to_onnx import convert_base, preprocess, tap_vectors
from tasks.networks.cuts import Choice, LayerList, find_cuts, list_layers, resolve, truncate
from tasks.onnx.resize import Resize
from tasks.onnx.sessions import Session
from tests.tasks.networks.small_models import application, small_mobilenet

layers = keras.layers


def chain() -> keras.Model:
    source = keras.Input((8, 8, 3))
    values = layers.ReLU(name="b")(layers.ReLU(name="a")(source))
    return keras.Model(source, layers.ReLU(name="c")(values))


def residual() -> keras.Model:
    source = keras.Input((8, 8, 3))
    stem = layers.Conv2D(4, 1, name="stem")(source)
    side = layers.ReLU(name="side_2")(layers.Conv2D(4, 3, padding="same", name="side_1")(stem))
    joined = layers.Add(name="joined")([stem, side])
    return keras.Model(source, layers.ReLU(name="top")(joined))


def branch_at_the_input() -> keras.Model:
    source = keras.Input((8, 8, 3))
    joined = layers.Concatenate(name="joined")([source, layers.ReLU(name="side")(source)])
    return keras.Model(source, layers.ReLU(name="top")(joined))


def dense() -> keras.Model:
    source = keras.Input((8, 8, 3))
    first = layers.ReLU(name="first")(source)
    second = layers.Concatenate(name="second")([first, layers.Conv2D(4, 3, padding="same", name="x")(first)])
    third = layers.Concatenate(name="third")([second, layers.Conv2D(4, 3, padding="same", name="y")(second)])
    return keras.Model(source, layers.ReLU(name="top")(third))


def branches_of_unequal_length_that_cross() -> keras.Model:
    source = keras.Input((8, 8, 3))
    stem = layers.ReLU(name="stem")(source)
    short = layers.ReLU(name="short")(stem)
    long = layers.ReLU(name="long_2")(layers.ReLU(name="long_1")(stem))
    crossed = layers.Add(name="crossed")([short, long])
    again = layers.Add(name="again")([crossed, layers.ReLU(name="longer")(long)])
    neck = layers.ReLU(name="neck")(again)
    split = [layers.ReLU(name=f"split_{number}")(neck) for number in range(3)]
    return keras.Model(source, layers.Concatenate(name="top")(split))


def skip_over_everything() -> keras.Model:
    source = keras.Input((8, 8, 3))
    values = layers.ReLU(name="b")(layers.ReLU(name="a")(source))
    return keras.Model(source, layers.Add(name="joined")([source, values]))


def inception() -> keras.Model:
    source = keras.Input((16, 16, 3))
    stem = layers.BatchNormalization(name="stem_bn")(layers.Conv2D(8, 3, strides=2, name="stem")(source))
    narrow = layers.Conv2D(4, 1, activation="relu", name="narrow")(stem)
    wide = layers.SeparableConv2D(4, 5, padding="same", name="wide_2")(layers.Conv2D(4, 1, name="wide_1")(stem))
    pooled = layers.Conv2D(4, 1, name="pooled_2")(layers.AveragePooling2D(3, 1, "same", name="pooled_1")(stem))
    mixed = layers.Concatenate(name="mixed")([narrow, wide, pooled])
    reduced = layers.MaxPooling2D(2, name="reduced")(mixed)
    return keras.Model(source, layers.Conv2D(8, 1, activation="swish", name="top")(reduced))


def squeeze_and_excitation() -> keras.Model:
    source = keras.Input((16, 16, 3))
    stem = layers.Conv2D(8, 3, strides=2, activation="swish", name="stem")(source)
    squeezed = layers.Reshape((1, 1, 8), name="reshaped")(layers.GlobalAveragePooling2D(name="squeezed")(stem))
    excited = layers.Conv2D(8, 1, activation="sigmoid", name="excited")(squeezed)
    scaled = layers.Multiply(name="scaled")([stem, excited])
    added = layers.Add(name="added")([stem, layers.Conv2D(8, 3, padding="same", name="project")(scaled)])
    return keras.Model(source, layers.ReLU(name="top")(added))


def operation_in_a_branch() -> keras.Model:
    source = keras.Input((8, 8, 3))
    stem = layers.Conv2D(4, 1, name="stem")(source)
    inside = layers.Conv2D(4, 1, name="inside")(keras.ops.relu(stem))
    joined = layers.Add(name="joined")([keras.ops.relu(stem), inside])
    return keras.Model(source, layers.ReLU(name="top")(joined))


CUTS = {
    chain: ["a", "b", "c"],
    residual: ["stem", "joined", "top"],
    branch_at_the_input: ["joined", "top"],
    dense: ["first", "second", "third", "top"],
    branches_of_unequal_length_that_cross: ["stem", "again", "neck", "top"],
    skip_over_everything: ["joined"],
    inception: ["stem", "stem_bn", "mixed", "reduced", "top"],
    squeeze_and_excitation: ["stem", "added", "top"],
    operation_in_a_branch: ["stem", "joined", "top"],
}
SMALL_NETWORKS = [pytest.param(network, id=network.__name__) for network in CUTS]


def edges(model: keras.Model) -> dict[str, set[str]]:
    """Return the names of the layers that feed each layer, according to the model's own JSON."""
    sources: dict[str, set[str]] = {}

    def names(value: object) -> set[str]:
        if isinstance(value, dict):
            history = value.get("config", {}).get("keras_history") if "config" in value else None
            return {history[0]} if history else set().union(*(names(part) for part in value.values()), set())
        return set().union(*(names(part) for part in value), set()) if isinstance(value, list) else set()

    for layer in json.loads(model.to_json())["config"]["layers"]:
        sources[layer["config"]["name"]] = names(layer["inbound_nodes"])
    return sources


def cuts_by_removal(model: keras.Model) -> list[str]:
    """Return the layers without which no path leads from the output down to the input."""
    sources, order = edges(model), [layer.name for layer in model.layers]
    cuts = []
    for removed in order[1:]:
        pending, reached = [order[-1]], {removed}
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending += sources[name]
        if order[0] not in reached:
            cuts.append(removed)
    return cuts


@pytest.mark.parametrize(("network", "cuts"), CUTS.items(), ids=[network.__name__ for network in CUTS])
def test_the_cuts_of_small_networks_are_those_seen_by_eye(network: Callable[[], keras.Model], cuts: list[str]) -> None:
    assert find_cuts(network()) == cuts


@pytest.mark.parametrize("network", SMALL_NETWORKS)
def test_cuts_are_the_layers_whose_removal_separates_output_from_input(network: Callable[[], keras.Model]) -> None:
    model = network()
    assert find_cuts(model) == cuts_by_removal(model)


def check_taps(model: keras.Model, size: int) -> None:
    """Assert that a graph with a tap at every cut gives the vectors of Keras's sub-models, at batches of 1 and 3."""
    cuts = find_cuts(model)
    tapped = truncate(model, cuts)
    session, random = Session(convert_base(tapped, Resize(size), "tf", "avg"), threads=2), np.random.default_rng(0)
    for count in (1, 3):
        images = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        expected = [np.asarray(vector) for vector in tap_vectors(tapped, preprocess(images, "tf"), "avg")]
        boundaries = np.cumsum([vector.shape[1] for vector in expected])[:-1]
        vectors = np.split(session(images), boundaries, axis=1)
        for cut, ours, theirs in zip(cuts, vectors, expected, strict=True):
            assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max(), cut


@pytest.mark.parametrize("network", SMALL_NETWORKS)
def test_taps_at_all_cuts_in_one_pass_equal_keras_sub_models(network: Callable[[], keras.Model]) -> None:
    keras.utils.set_random_seed(1)
    model = network()
    check_taps(model, model.input_shape[1])


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    return small_mobilenet()


def test_every_layer_of_mobilenet_above_its_input_is_a_cut(mobilenet: keras.Model) -> None:
    assert find_cuts(mobilenet) == [layer.name for layer in mobilenet.layers[1:]]


def test_taps_at_all_layers_of_mobilenet_in_one_pass_equal_keras_sub_models(mobilenet: keras.Model) -> None:
    check_taps(mobilenet, 32)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("DenseNet121", 32),
        ("InceptionResNetV2", 75),
        ("InceptionV3", 75),
        ("MobileNet", 32),
        ("NASNetMobile", 32),
        ("ResNet50", 32),
        ("VGG16", 32),
        ("VGG19", 32),
        ("Xception", 71),
    ],
)
def test_the_cuts_of_a_family_are_those_by_removal_and_their_taps_equal_keras_sub_models(name: str, size: int) -> None:
    model = application(name, size)
    assert find_cuts(model) == cuts_by_removal(model)
    check_taps(model, size)


@pytest.fixture(scope="module")
def resnet() -> keras.Model:
    return application("ResNet50")


@pytest.fixture(scope="module")
def resnet_layers(resnet: keras.Model) -> LayerList:
    return list_layers(resnet, "ResNet50")


def test_the_blocks_of_a_residual_network_are_cut_where_their_branches_join(resnet: keras.Model) -> None:
    cuts = find_cuts(resnet)
    assert cuts == cuts_by_removal(resnet)
    assert [name for name in cuts if name.endswith("_add")] == [
        f"conv{stage}_block{block}_add"
        for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3))
        for block in range(1, blocks + 1)
    ]


@pytest.mark.parametrize(
    ("choice", "cut"),
    [
        pytest.param("conv4_block6_out", "conv4_block6_out", id="a layer"),
        pytest.param("conv4_block6_add", "conv4_block6_add", id="a layer inside a block"),
        pytest.param("conv4_block6", "conv4_block6_out", id="a block"),
        pytest.param("conv4", "conv4_block6_out", id="a block of blocks"),
        pytest.param("conv1", "conv1_relu", id="the stem"),
        pytest.param("pool1", "pool1_pool", id="a block of a padding and a pooling"),
        pytest.param(1.0, "conv5_block3_out", id="all of the depth"),
        pytest.param(1, "conv5_block3_out", id="all of the depth, an integer"),
        pytest.param(0.5, "conv3_block4_out", id="half of the depth"),
        pytest.param(0.011, "conv1_conv", id="a depth as shown, rounded down"),
    ],
)
def test_a_cut_is_named_by_layer_by_block_or_by_fraction_of_depth(
    resnet_layers: LayerList, choice: Choice, cut: str
) -> None:
    assert resolve(choice, resnet_layers, "backbone.cut") == cut


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "block", "cut"),
    [
        ("DenseNet121", "conv2", "conv2_block6_concat"),
        ("EfficientNetB0", "block4", "block4c_add"),
        ("InceptionV3", "mixed7", "mixed7"),
        ("MobileNet", "conv_pw_1", "conv_pw_1"),
        ("MobileNetV2", "block_5", "block_5_add"),
        ("VGG16", "block3", "block3_pool"),
        ("Xception", "block13", "add_11"),
    ],
)
def test_a_block_of_a_family_ends_where_all_of_it_has_come_together(name: str, block: str, cut: str) -> None:
    assert resolve(block, list_layers(application(name, 75), name), "backbone.cut") == cut


@pytest.mark.parametrize(
    ("block", "cut"),
    [
        pytest.param("block4", "block4b_add", id="a letter numbers the parts"),
        pytest.param("block_5", "block_5_add", id="not block_50"),
        pytest.param("block13", "add_11", id="the layer that joins it has another name"),
        pytest.param("mixed7", "mixed7", id="a layer of that name"),
        pytest.param("block3", "block3_pool", id="its last layer is a cut"),
    ],
)
def test_a_block_is_the_layers_whose_names_begin_with_its_name(block: str, cut: str) -> None:
    cuts = [
        "block3_conv1",
        "block3_pool",
        "block4a_add",
        "block4b_add",
        "block_5_add",
        "block_50_add",
        "add_11",
        "mixed7",
        "mixed70",
    ]
    inside = {"block4b_add": ["block4b_se"], "add_11": ["block13_conv"], "mixed70": ["conv2d_70"]}
    names = [name for cut in cuts for name in [*inside.get(cut, []), cut]]
    assert resolve(block, LayerList("network", ["input", *names], cuts), "backbone.cut") == cut


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param(
            "conv4_block6_2_relu",
            (
                "backbone.cut: 'conv4_block6_2_relu' is no cut of ResNet50, since another way leads past it. "
                "The nearest cuts are 'conv4_block5_out' below and 'conv4_block6_add' above."
            ),
            id="a layer inside a branch",
        ),
        pytest.param(
            "conv9",
            "backbone.cut: ResNet50 has no layer or block 'conv9'.",
            id="no layer",
        ),
        pytest.param("conv4_block6_ou", "Did you mean 'conv4_block6_out'?", id="a misspelt layer"),
        pytest.param(
            0.001,
            "backbone.cut is 0.001, below the lowest cut 'conv1_pad', which lies at 0.006.",
            id="a depth below all cuts",
        ),
        pytest.param(
            1.5,
            "backbone.cut is 1.5; expected a fraction of depth above 0 and at most 1, or a layer's name.",
            id="a depth above 1",
        ),
    ],
)
def test_a_choice_that_is_no_cut_is_refused_with_the_nearest_cuts(
    resnet_layers: LayerList, choice: Choice, expected: str
) -> None:
    with pytest.raises(GraftError) as caught:
        resolve(choice, resnet_layers, "backbone.cut")
    assert expected in str(caught.value)
