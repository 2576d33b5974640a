import json
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from tasks.backbone.cuts import cuts

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
    assert cuts(model) == by_removal(model)


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
    assert cuts(make()) == expected


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


def test_the_blocks_of_a_residual_network_are_cut_where_they_meet() -> None:
    model = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(32, 32, 3))
    found = cuts(model)
    assert found == by_removal(model)
    assert [name for name in found if name.endswith("_add")] == [
        f"conv{stage}_block{block}_add"
        for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3))
        for block in range(1, blocks + 1)
    ]
