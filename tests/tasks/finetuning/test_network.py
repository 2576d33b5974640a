from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tasks.finetuning.network import Network, UsedTaps, divide_taps, live_network, split_base
from tasks.networks import cuts, saving
from tasks.networks.conversion.keras_to_onnx import preprocess
from tests.tasks.conftest import noise
from tests.tasks.finetuning.small_inputs import build_head

CUT, TOP = "conv_pw_11_relu", "conv_pw_13_relu"
LAYERS = cuts.LayerList("any", ["input", "low", "cut", "middle", "high"], ["low", "cut", "middle", "high"])


def two_taps() -> keras.Model:
    """Return a small base with the taps `low`, `cut` and `high`."""
    keras.utils.set_random_seed(0)
    source = keras.Input((8, 8, 3))
    low = keras.layers.Conv2D(4, 3, name="low")(source)
    cut = keras.layers.Conv2D(6, 3, name="cut")(low)
    return keras.Model(source, [low, cut, keras.layers.Conv2D(5, 3, name="high")(cut)])


def nested() -> keras.Model:
    """Return a base whose BatchNorms lie above the cut `scaling`, inside models at two depths."""
    inner_source = keras.Input((4, 4, 2))
    inner = keras.Model(inner_source, keras.layers.BatchNormalization(name="inner")(inner_source), name="deep")
    middle_source = keras.Input((4, 4, 2))
    values = keras.layers.Conv2D(2, 1, name="middle")(inner(middle_source))
    middle = keras.Model(middle_source, keras.layers.BatchNormalization(name="outer")(values), name="nested")
    source = keras.Input((4, 4, 2))
    values = middle(keras.layers.Rescaling(0.1, name="scaling")(source))
    return keras.Model(source, keras.layers.Activation("linear", name="end")(values))


@pytest.mark.parametrize(
    ("taps", "expected"),
    [
        (["low", "high"], UsedTaps(["low"], ["high"])),
        (["cut", "middle", "high"], UsedTaps(["cut"], ["middle", "high"])),
        (["low", "cut"], UsedTaps(["low", "cut"], [])),
    ],
    ids=["both sides", "at the cut", "nothing above"],
)
def test_taps_at_or_below_the_cut_stay_and_those_above_change(taps: list[str], expected: UsedTaps) -> None:
    assert divide_taps(taps, "cut", LAYERS) == expected


@pytest.mark.parametrize("cut", ["conv1", CUT, "conv_pw_13_bn"])
def test_the_two_parts_together_are_the_base(backbone: Path, cut: str) -> None:
    base = saving.load(backbone / "keras", "base")
    lower, upper = split_base(base, cut, [TOP])
    images = preprocess(np.stack([noise(seed, 64, 64) for seed in range(3)]), "tf")
    expected = np.asarray(base(images, training=False))
    outputs = np.asarray(keras.tree.flatten(upper(lower(images, training=False), training=False))[0])
    assert np.abs(outputs - expected).max() <= 1e-5 * np.abs(expected).max()
    assert lower.count_params() + upper.count_params() == base.count_params()


def test_only_convolutions_above_the_cut_and_the_head_are_trained_grouped_by_layer_from_the_top(backbone: Path) -> None:
    _, upper = split_base(saving.load(backbone / "keras", "base"), CUT, [TOP])
    groups = Network(upper, build_head(256, 0), "avg", 0).groups
    names = [sorted({variable.path.split("/")[-2] for variable in group}) for group in groups]
    assert names == [["probabilities"], ["conv_pw_13"], ["conv_dw_13"], ["conv_pw_12"], ["conv_dw_12"]]


def test_batch_norm_is_frozen_at_every_depth_of_nesting() -> None:
    _, upper = split_base(nested(), "scaling", ["end"])
    network = Network(upper, build_head(2, 0), "avg", 0)
    assert [[variable.path.split("/")[-2] for variable in group] for group in network.groups[1:]] == [["middle"] * 2]
    states = [value.numpy().copy() for value in upper.non_trainable_variables]
    assert len(states) == 8
    values = tf.constant(np.random.default_rng(0).normal(5, 3, (4, 4, 4, 2)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network.logits([values]) ** 2)
    assert all(gradient is not None for gradient in tape.gradient(loss, [v.value for v in network.variables]))
    for before, after in zip(states, upper.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(before, after.numpy())


@pytest.mark.parametrize("below", [["low"], ["cut"], ["low", "cut"], []], ids=str)
def test_stored_and_live_networks_are_the_head_on_all_used_taps(below: list[str]) -> None:
    base = two_taps()
    widths = {"low": 4, "cut": 6, "high": 5}
    used = [*below, "high"]
    lower, upper = split_base(base, "cut", ["high"])
    head = build_head(sum(widths[name] for name in used), 0)
    network = Network(upper, head, "avg", sum(widths[name] for name in below))
    pixels = noise(0, 8, 24).reshape(3, 8, 8, 3)
    outputs = dict(zip(widths, base(preprocess(pixels, "tf")), strict=True))
    vectors = {name: np.asarray(output).mean((1, 2)) for name, output in outputs.items()}
    expected = head(np.concatenate([vectors[name] for name in used], axis=1))
    fixed = [np.concatenate([vectors[name] for name in below], axis=1)] if below else []
    inputs = [lower(preprocess(pixels, "tf")), *fixed]
    np.testing.assert_allclose(network(inputs), expected, rtol=1e-5, atol=1e-6)
    assert [specification.shape[-1] for specification in network.signature] == [6, *(f.shape[1] for f in fixed)]
    # Without dropout the logits are those of the probabilities.
    head.get_layer("dropout").rate = 0.0
    live = live_network(base, "cut", below, network, "tf")
    for logits in (network.logits(inputs), live.logits([pixels])):
        np.testing.assert_allclose(tf.nn.softmax(logits), expected, rtol=1e-5, atol=1e-6)
