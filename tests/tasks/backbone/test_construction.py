"""Networks from the registry and of the user's own, before they have weights."""

import hashlib
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from tasks.backbone.construction import build, build_own
from tasks.backbone.registry import architecture
from tasks.common.errors import GraftError

MODULE = """
import keras
def good(input_size):
    source = keras.Input((input_size, input_size, 3))
    return keras.Model(source, keras.layers.Conv2D(4, 3)(source))
def fails(input_size):
    return 1 / 0
def nothing(input_size):
    pass
def two_outputs(input_size):
    source = keras.Input((input_size, input_size, 3))
    return keras.Model(source, [source * 1, source * 2])
def grey(input_size):
    source = keras.Input((input_size, input_size, 1))
    return keras.Model(source, keras.layers.Conv2D(4, 3)(source))
class Mine(keras.layers.Layer):
    def call(self, values):
        return values
def own_layer(input_size):
    source = keras.Input((input_size, input_size, 3))
    return keras.Model(source, Mine()(source))
number = 5
"""


@pytest.fixture
def networks_of_mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository whose folder `backbones` holds one module, and one that does not even import."""
    (tmp_path / "backbones").mkdir()
    (tmp_path / "backbones" / "__init__.py").touch()
    (tmp_path / "backbones" / "mine.py").write_text(MODULE)
    (tmp_path / "backbones" / "broken.py").write_text("import no_such_library\n")
    for name in [name for name in sys.modules if name.split(".")[0] == "backbones"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def digest(model: keras.Model) -> str:
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


def test_layer_names_and_random_weights_do_not_follow_what_was_built_before() -> None:
    row = architecture("MobileNetV2")
    first = build(row, 32, 0.35, seed=1, include_top=False, imagenet=False)
    expected = names(first), digest(first)
    second = build(row, 32, 0.35, seed=1, include_top=False, imagenet=False)
    assert (names(second), digest(second)) == expected
    other = build(row, 32, 0.35, seed=2, include_top=False, imagenet=False)
    assert digest(other) != expected[1]


def test_mobilenet_with_its_top_has_the_parameters_that_its_authors_count() -> None:
    model = build(architecture("MobileNet"), 224, 1.0, seed=0, include_top=True, imagenet=False)
    trainable = sum(weight.value.numpy().size for weight in model.trainable_weights)
    assert (model.count_params(), trainable) == (4_253_864, 4_231_976)


@pytest.mark.parametrize("name", ["EfficientNetB0", "EfficientNetV2B0"])
def test_for_imagenets_weights_the_network_is_the_very_one_that_keras_builds_for_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = architecture(name)
    found = build(row, 64, None, seed=0, include_top=False, imagenet=True)
    plain = build(row, 64, None, seed=0, include_top=False, imagenet=False)
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: None)
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: None)
    keras.utils.clear_session()
    expected = getattr(keras.applications, name)(include_top=False, input_shape=(64, 64, 3))
    assert [type(layer).__name__ for layer in found.layers] == [type(layer).__name__ for layer in expected.layers]
    assert len(found.layers) - len(plain.layers) == (row.quirk == "rescales_imagenet")
    expected.set_weights(found.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(found(images)), np.asarray(expected(images)))


@pytest.mark.usefixtures("networks_of_mine")
def test_a_network_of_ones_own_is_built_by_its_function() -> None:
    assert build_own("backbones.mine:good", 20, seed=0).output_shape == (None, 18, 18, 4)


@pytest.mark.usefixtures("networks_of_mine")
@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        (
            "backbones.mine:good",
            None,
            "backbone.input_size is null; a network of your own, backbones.mine:good, needs it",
        ),
        ("backbones.mine:god", 20, "backbones.mine has no function 'god'. Did you mean 'good'?"),
        ("backbones.mine:number", 20, "backbones.mine has no function 'number'."),
        ("backbones.none:good", 20, "ModuleNotFoundError: No module named 'backbones.none'"),
        ("backbones.broken:good", 20, "ModuleNotFoundError: No module named 'no_such_library' (broken.py, line 1)"),
        ("elsewhere.mine:good", 20, "is no backbones.MODULE:FUNCTION, a function in the folder backbones."),
        ("backbones.mine:fails", 20, "ZeroDivisionError: division by zero (mine.py, line 7)"),
        ("backbones.mine:nothing", 20, "returned NoneType; expected a functional Keras model."),
        ("backbones.mine:two_outputs", 20, "and 2 outputs; expected one input (None, 20, 20, 3) and one output."),
        ("backbones.mine:grey", 20, "of inputs (None, 20, 20, 1) and 1 outputs; expected one input (None, 20, 20, 3)"),
        ("backbones.mine:own_layer", 20, "returned a model that cannot be written down: "),
    ],
)
def test_a_network_of_ones_own_that_cannot_be_used_is_told_in_one_line(name: str, size: int | None, told: str) -> None:
    with pytest.raises(GraftError) as caught:
        build_own(name, size, seed=0)
    assert told in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
