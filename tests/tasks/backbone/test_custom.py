"""Networks of the user's own, built by functions in the folder `backbones`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.backbone.custom import build_custom
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
def sequential(input_size):
    return keras.Sequential([keras.layers.Conv2D(4, 3)])
def sequential_for_others(input_size):
    return keras.Sequential([keras.layers.Dense(4), keras.layers.Reshape((3,))])
def two_inputs(input_size):
    sources = [keras.Input((input_size, input_size, 3)) for _ in range(2)]
    return keras.Model(sources, keras.layers.Add()(sources))
def lambda_layer(input_size):
    source = keras.Input((input_size, input_size, 3))
    return keras.Model(source, keras.layers.Lambda(lambda values: values * 2)(source))
class Mine(keras.layers.Layer):
    def call(self, values):
        return values
def own_layer(input_size):
    source = keras.Input((input_size, input_size, 3))
    return keras.Model(source, Mine()(source))
@keras.saving.register_keras_serializable()
class Registered(Mine):
    pass
def registered(input_size):
    source = keras.Input((input_size, input_size, 3))
    inner = keras.Sequential([keras.Input((input_size, input_size, 3)), Registered()])
    return keras.Model(source, inner(source))
number = 5
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a repository whose folder `backbones` holds one module, and one that cannot be imported."""
    (tmp_path / "backbones").mkdir()
    (tmp_path / "backbones" / "__init__.py").touch()
    (tmp_path / "backbones" / "mine.py").write_text(MODULE)
    (tmp_path / "backbones" / "broken.py").write_text("import no_such_library\n")
    forget_backbones()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    forget_backbones()


def forget_backbones() -> None:
    """Let the next import of the package `backbones` search for it again."""
    for name in [name for name in sys.modules if name.split(".")[0] == "backbones"]:
        del sys.modules[name]


@pytest.mark.usefixtures("repository")
def test_a_custom_network_is_built_by_its_function() -> None:
    assert build_custom("backbones.mine:good", 20, seed=0).output_shape == (None, 18, 18, 4)


@pytest.mark.usefixtures("repository")
def test_a_sequential_without_an_input_is_built_for_images_of_the_input_size() -> None:
    assert build_custom("backbones.mine:sequential", 20, seed=0).output_shape == (None, 18, 18, 4)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("name", "size", "reason"),
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
        ("backbones.mine:own_layer", 20, "with the layer 'mine' of class Mine; expected Keras's own layers only."),
        ("backbones.mine:registered", 20, "with the layer 'registered' of class Registered; expected Keras's own"),
        ("backbones.mine:lambda_layer", 20, "returned a model that cannot be written down: "),
        ("backbones.mine:two_inputs", 20, "of inputs (None, 20, 20, 3), (None, 20, 20, 3) and 1 outputs; expected one"),
        ("backbones.mine:sequential_for_others", 20, "backbones.mine:sequential_for_others': ValueError: "),
    ],
    ids=[
        "no size",
        "misspelt function",
        "no function",
        "missing module",
        "broken module",
        "other folder",
        "function fails",
        "no model",
        "two outputs",
        "grey images",
        "own layer class",
        "own layer class inside, registered",
        "lambda",
        "two inputs",
        "sequential that cannot be built",
    ],
)
def test_a_custom_network_that_cannot_be_used_is_reported_in_one_line(name: str, size: int | None, reason: str) -> None:
    with pytest.raises(GraftError) as caught:
        build_custom(name, size, seed=0)
    assert reason in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
