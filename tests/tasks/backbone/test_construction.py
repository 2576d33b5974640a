"""Networks of keras.applications, built with random weights."""

import hashlib

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from tasks.backbone.construction import build
from tasks.backbone.registry import find_architecture


def layer_names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def digest(model: keras.Model) -> str:
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


def test_layer_names_and_random_weights_do_not_depend_on_what_was_built_before() -> None:
    architecture = find_architecture("MobileNetV2")
    first = build(architecture, 32, 0.35, seed=1, include_top=False, imagenet=False)
    expected = layer_names(first), digest(first)
    second = build(architecture, 32, 0.35, seed=1, include_top=False, imagenet=False)
    assert (layer_names(second), digest(second)) == expected
    other = build(architecture, 32, 0.35, seed=2, include_top=False, imagenet=False)
    assert digest(other) != expected[1]


def test_mobilenet_with_its_top_has_the_published_number_of_parameters() -> None:
    model = build(find_architecture("MobileNet"), 224, 1.0, seed=0, include_top=True, imagenet=False)
    trainable = sum(weight.value.numpy().size for weight in model.trainable_weights)
    assert (model.count_params(), trainable) == (4_253_864, 4_231_976)


@pytest.mark.parametrize("name", ["EfficientNetB0", "EfficientNetV2B0"])
def test_for_imagenet_weights_the_network_equals_the_one_that_keras_builds_for_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = find_architecture(name)
    built = build(architecture, 64, None, seed=0, include_top=False, imagenet=True)
    plain = build(architecture, 64, None, seed=0, include_top=False, imagenet=False)
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: None)
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: None)
    keras.utils.clear_session()
    expected = getattr(keras.applications, name)(include_top=False, input_shape=(64, 64, 3))
    assert [type(layer).__name__ for layer in built.layers] == [type(layer).__name__ for layer in expected.layers]
    assert len(built.layers) - len(plain.layers) == (architecture.quirk == "rescales_imagenet")
    expected.set_weights(built.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(built(images)), np.asarray(expected(images)))
