import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tasks.backbone.construction import build
from tasks.backbone.registry import architecture, sized
from tasks.common.errors import GraftError
from tasks.networks.conversion.keras_to_onnx import convert_base, preprocess, tap_vectors
from tasks.networks.cuts import Choice, find_cuts, list_layers, resolve, truncate
from tasks.onnx.sessions import Session

layers = keras.layers


def chain() -> keras.Model:
    source = keras.Input((8, 8, 4))
    values = layers.ReLU(name="b")(layers.ReLU(name="a")(source))
    return keras.Model(source, layers.ReLU(name="c")(values))


def residual() -> keras.Model:
    source = keras.Input((8, 8, 4))
    stem = layers.Conv2D(4, 1, name="stem")(source)
    side = layers.ReLU(name="side_2")(layers.Conv2D(4, 3, padding="same", name="side_1")(stem))
    met = layers.Add(name="met")([stem, side])
    return keras.Model(source, layers.ReLU(name="top")(met))


def from_the_input_on() -> keras.Model:
    source = keras.Input((8, 8, 4))
    met = layers.Concatenate(name="met")([source, layers.ReLU(name="side")(source)])
    return keras.Model(source, layers.ReLU(name="top")(met))


def dense() -> keras.Model:
    source = keras.Input((8, 8, 4))
    first = layers.ReLU(name="first")(source)
    second = layers.Concatenate(name="second")([first, layers.ReLU(name="x")(first)])
    third = layers.Concatenate(name="third")([second, layers.ReLU(name="y")(second)])
    return keras.Model(source, layers.ReLU(name="top")(third))


def branches_of_unequal_length_that_cross() -> keras.Model:
    source = keras.Input((8, 8, 4))
    stem = layers.ReLU(name="stem")(source)
    short = layers.ReLU(name="short")(stem)
    long = layers.ReLU(name="long_2")(layers.ReLU(name="long_1")(stem))
    crossed = layers.Add(name="crossed")([short, long])
    again = layers.Add(name="again")([crossed, layers.ReLU(name="longer")(long)])
    neck = layers.ReLU(name="neck")(again)
    split = [layers.ReLU(name=f"split_{number}")(neck) for number in range(3)]
    return keras.Model(source, layers.Concatenate(name="top")(split))


def a_skip_over_everything() -> keras.Model:
    source = keras.Input((8, 8, 4))
    values = layers.ReLU(name="b")(layers.ReLU(name="a")(source))
    return keras.Model(source, layers.Add(name="met")([source, values]))


GRAPHS = (chain, residual, from_the_input_on, dense, branches_of_unequal_length_that_cross, a_skip_over_everything)


def edges(model: keras.Model) -> dict[str, set[str]]:
    """Return for each layer the layers that feed it, as the model's own JSON tells it."""
    found: dict[str, set[str]] = {}

    def names(value: object) -> set[str]:
        if isinstance(value, dict):
            history = value.get("config", {}).get("keras_history") if "config" in value else None
            return {history[0]} if history else set().union(*(names(part) for part in value.values()), set())
        return set().union(*(names(part) for part in value), set()) if isinstance(value, list) else set()

    for layer in json.loads(model.to_json())["config"]["layers"]:
        found[layer["config"]["name"]] = names(layer["inbound_nodes"])
    return found


def by_removal(model: keras.Model) -> list[str]:
    """Return the layers without which no way leads from the output down to the input."""
    below, order = edges(model), [layer.name for layer in model.layers]
    found = []
    for removed in order[1:]:
        pending, seen = [order[-1]], {removed}
        while pending:
            name = pending.pop()
            if name not in seen:
                seen.add(name)
                pending += below[name]
        if order[0] not in seen:
            found.append(removed)
    return found


@pytest.mark.parametrize("make", GRAPHS)
def test_the_cuts_are_the_layers_whose_removal_parts_output_from_input(make: Callable[[], keras.Model]) -> None:
    model = make()
    assert find_cuts(model) == by_removal(model)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (chain, ["a", "b", "c"]),
        (residual, ["stem", "met", "top"]),
        (from_the_input_on, ["met", "top"]),
        (dense, ["first", "second", "third", "top"]),
        (branches_of_unequal_length_that_cross, ["stem", "again", "neck", "top"]),
        (a_skip_over_everything, ["met"]),
    ],
)
def test_the_cuts_of_graphs_small_enough_to_see(make: Callable[[], keras.Model], expected: list[str]) -> None:
    assert find_cuts(make()) == expected


def test_every_layer_of_mobilenet_is_a_cut(backbone: Path) -> None:
    found = json.loads((backbone / "backbone.json").read_text())["cuts"]
    assert len(found) == 85
    assert found[:3] == ["conv1", "conv1_bn", "conv1_relu"]
    assert found[-6:] == [
        "conv_dw_13",
        "conv_dw_13_bn",
        "conv_dw_13_relu",
        "conv_pw_13",
        "conv_pw_13_bn",
        "conv_pw_13_relu",
    ]


FAMILIES = {
    "DenseNet121": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "NASNetMobile": 32,
    "ResNet50": 32,
    "VGG16": 32,
    "VGG19": 32,
    "Xception": 71,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_cuts_of_each_family_are_those_found_by_removal_and_their_taps_in_one_pass_equal_keras_sub_models(
    name: str,
) -> None:
    size = FAMILIES[name]
    model = build(architecture(name), *sized(architecture(name), size, None), seed=1, include_top=False, imagenet=True)
    found = find_cuts(model)
    assert found == by_removal(model)
    every = truncate(model, found)
    graph = convert_base(every, size, "tf", "avg")
    # The one from the picture's order of dimensions to the convolutions' own, however many taps there are.
    assert sum(node.op_type == "Transpose" for node in graph.graph.node) == 1
    run, random = Session(graph, threads=2), np.random.default_rng(0)
    for count in (1, 3):
        images = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        parts = tap_vectors(every, preprocess(images, "tf"), "avg")
        edges = np.cumsum([part.shape[1] for part in parts])[:-1]
        for cut, one, other in zip(found, np.split(run(images), edges, axis=1), map(np.asarray, parts), strict=True):
            assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max(), cut


def test_the_blocks_of_a_residual_network_are_cut_where_they_meet() -> None:
    model = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(32, 32, 3))
    found = find_cuts(model)
    assert found == by_removal(model)
    assert [name for name in found if name.endswith("_add")] == [
        f"conv{stage}_block{block}_add"
        for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3))
        for block in range(1, blocks + 1)
    ]


@pytest.fixture(scope="module")
def residual_network() -> keras.Model:
    return build(architecture("ResNet50"), 32, None, seed=0, include_top=False, imagenet=False)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("conv4_block6_out", "conv4_block6_out"),
        ("conv4_block6_add", "conv4_block6_add"),
        ("conv4_block6", "conv4_block6_out"),
        ("conv4", "conv4_block6_out"),
        ("conv1", "conv1_relu"),
        ("pool1", "pool1_pool"),
        (1.0, "conv5_block3_out"),
        (1, "conv5_block3_out"),
        (0.5, "conv3_block4_out"),
        (0.011, "conv1_conv"),
    ],
)
def test_a_cut_is_named_by_layer_by_block_or_by_fraction_of_depth(
    residual_network: keras.Model, choice: Choice, expected: str
) -> None:
    assert resolve(choice, list_layers(residual_network, "ResNet50"), "backbone.cut") == expected


@pytest.mark.parametrize(
    ("name", "block", "expected"),
    [
        ("Xception", "block13", "add_11"),
        ("VGG16", "block3", "block3_pool"),
        ("DenseNet121", "conv2", "conv2_block6_concat"),
        ("EfficientNetB0", "block4", "block4c_add"),
        ("MobileNetV2", "block_5", "block_5_add"),
        ("MobileNet", "conv_pw_1", "conv_pw_1"),
        ("InceptionV3", "mixed7", "mixed7"),
    ],
)
def test_a_block_ends_where_all_of_it_has_come_together(name: str, block: str, expected: str) -> None:
    row = architecture(name)
    model = build(row, *sized(row, row.smallest, None), seed=0, include_top=False, imagenet=False)
    assert resolve(block, list_layers(model, name), "backbone.cut") == expected


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (
            "conv4_block6_2_relu",
            (
                "backbone.cut: 'conv4_block6_2_relu' is no cut of ResNet50, since another way leads past it. "
                "The nearest cuts are 'conv4_block5_out' below and 'conv4_block6_add' above."
            ),
        ),
        ("conv9", "backbone.cut: ResNet50 has no layer or block 'conv9'."),
        ("conv4_block6_ou", "Did you mean 'conv4_block6_out'?"),
        (0.001, "backbone.cut is 0.001, below the lowest cut 'conv1_pad', which lies at 0.006."),
        (1.5, "backbone.cut is 1.5; expected a fraction of depth above 0 and at most 1, or a layer's name."),
    ],
)
def test_what_is_no_cut_is_told_with_the_nearest(residual_network: keras.Model, choice: Choice, told: str) -> None:
    with pytest.raises(GraftError) as caught:
        resolve(choice, list_layers(residual_network, "ResNet50"), "backbone.cut")
    assert told in str(caught.value)
