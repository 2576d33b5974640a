from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hypothesis
import keras
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies

from tasks.common.errors import GraftError
from tasks.networks.weight_loading import load_weights
from tests.tasks.networks.small_models import (
    Layout,
    application,
    are_equal,
    dense_model,
    nested_model,
    randomize,
    small_mobilenet,
    write_weights,
)

HINT = (
    "Use the file made for this network, of keras.applications the one without top, "
    "or change backbone.name or backbone.alpha."
)
LAYOUTS = pytest.mark.parametrize("layout", ["older", "keras"])
Build = Callable[[], keras.Model]
Spoil = Callable[[h5py.File], None]


@contextmanager
def unchanged(model: keras.Model) -> Iterator[None]:
    before = model.get_weights()
    yield
    assert are_equal(model.get_weights(), before)


def refusal(path: Path, model: keras.Model) -> str:
    with pytest.raises(GraftError) as caught, unchanged(model):
        load_weights(model, path)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert "\n" not in message
    return message.removeprefix(f"{path} ")


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(nested_model, id="a model in a model"),
        pytest.param(small_mobilenet, id="MobileNet"),
        pytest.param(partial(application, "DenseNet121"), id="DenseNet121", marks=pytest.mark.thorough),
        pytest.param(partial(application, "EfficientNetB0"), id="EfficientNetB0", marks=pytest.mark.thorough),
    ],
)
def test_weights_in_either_layout_become_what_keras_makes_of_them(tmp_path: Path, build: Build) -> None:
    model = build()
    layouts: tuple[Layout, ...] = ("older", "keras")
    for seed, layout in enumerate(layouts):
        randomize(model, seed)
        written, path = model.get_weights(), write_weights(model, tmp_path, layout)
        for load in (model.load_weights, partial(load_weights, model)):
            randomize(model, 2)
            load(path)
            assert are_equal(model.get_weights(), written)


@LAYOUTS
def test_a_layer_that_derives_values_from_its_weights_derives_them_again(tmp_path: Path, layout: Layout) -> None:
    normalization = keras.layers.Normalization()
    model = keras.Sequential([keras.Input((4,)), keras.Sequential([keras.Input((4,)), normalization])])
    path = write_weights(model, tmp_path, layout)
    normalization.adapt(np.random.default_rng(0).random((9, 4)))
    assert not np.array_equal(np.asarray(model(np.ones((1, 4)))), np.ones((1, 4)))
    load_weights(model, path)
    assert np.array_equal(np.asarray(model(np.ones((1, 4)))), np.ones((1, 4)))


@LAYOUTS
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_of_another_precision_are_cast_as_keras_casts_them(
    tmp_path: Path, layout: Layout, dtype: type[np.floating[Any]]
) -> None:
    model = nested_model()
    path = write_weights(model, tmp_path, layout)
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in names:
            values = file[name][()]
            del file[name]
            file[name] = values.astype(dtype)
    model.load_weights(path)
    expected = model.get_weights()
    randomize(model, 1)
    load_weights(model, path)
    assert are_equal(model.get_weights(), expected)


@LAYOUTS
@pytest.mark.parametrize("name", ["a.h5", "a.weights.h5", "a.hdf5"])
def test_a_file_is_loaded_whatever_its_name(tmp_path: Path, layout: Layout, name: str) -> None:
    model = nested_model()
    expected, path = model.get_weights(), write_weights(model, tmp_path, layout).rename(tmp_path / name)
    randomize(model, 1)
    load_weights(model, path)
    assert are_equal(model.get_weights(), expected)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    ("method", "name"),
    [
        pytest.param("save", "model.h5", id="a whole model in the older layout"),
        pytest.param("save_weights", "model.weights.h5", id="weights in Keras 3's layout"),
    ],
)
def test_the_optimizer_in_a_file_is_ignored(tmp_path: Path, method: str, name: str) -> None:
    trained = nested_model()
    trained.compile("adam", "mse", run_eagerly=True)
    trained.fit(np.ones((4, 3, 3, 4)), np.ones((4, 2, 2, 3)), verbose=0)
    expected, path = trained.get_weights(), tmp_path / name
    getattr(trained, method)(path)
    with h5py.File(path) as file:
        assert any(key.startswith("optimizer") for key in file)
    for model in (nested_model(), trained):
        randomize(model, 1)
        load_weights(model, path)
        assert are_equal(model.get_weights(), expected)


@pytest.mark.parametrize(
    ("file_names", "model_names", "swapped"),
    [
        pytest.param(("a", "b"), ("a", "b"), False, id="the same names"),
        pytest.param(("a", "b"), ("b", "a"), True, id="the same names in another order"),
        pytest.param(("dense_7", "dense_8"), ("dense", "dense_1"), False, id="names that Keras numbered on"),
        pytest.param(("dense_1", "dense_2"), ("dense_2", "dense_1"), False, id="names that Keras numbered otherwise"),
        pytest.param(("old", "older"), ("a", "b"), False, id="other names"),
        pytest.param(("old", "a"), ("a", "b"), True, id="partly other names"),
    ],
)
def test_layers_of_the_older_layout_match_by_name_and_in_order_where_names_differ_or_keras_numbered_them(
    tmp_path: Path, file_names: tuple[str, str], model_names: tuple[str, str], *, swapped: bool
) -> None:
    source, model = dense_model(file_names), dense_model(model_names)
    load_weights(model, write_weights(source, tmp_path, "older"))
    first, second = (layer.get_weights() for layer in source.layers)
    assert are_equal(model.get_weights(), [*second, *first] if swapped else [*first, *second])


numbered = partial(dense_model, ("dense_3", "dense_4"))


def with_top() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), *numbered().layers, keras.layers.Dense(2, name="predictions")])


@pytest.mark.parametrize(
    ("layout", "build_file", "build_model", "reason"),
    [
        pytest.param(
            "older",
            nested_model,
            partial(nested_model, 3, ("first",)),
            "there is no place for its layer 'last'",
            id="older layout: a surplus layer",
        ),
        pytest.param(
            "keras",
            nested_model,
            partial(nested_model, 3, ("first",)),
            "there is no place for its layer 'layers/conv2d_1'",
            id="Keras layout: a surplus layer",
        ),
        pytest.param(
            "older",
            partial(nested_model, 3, ("first",)),
            nested_model,
            "it lacks layer 'last'",
            id="older layout: a missing layer",
        ),
        pytest.param(
            "keras",
            partial(nested_model, 3, ("first",)),
            nested_model,
            "it lacks layer 'last'",
            id="Keras layout: a missing layer",
        ),
        pytest.param(
            "older",
            partial(nested_model, 3, tuple("abcde")),
            nested_model,
            "it lacks layers 'first', 'last'; there is no place for its layers 'a', 'b', 'c' (and 2 more)",
            id="older layout: more layers, of other names",
        ),
        pytest.param(
            "keras",
            partial(nested_model, 3, tuple("abcdef")),
            nested_model,
            "there is no place for its layers 'layers/conv2d_2', 'layers/conv2d_3', 'layers/conv2d_4' (and 1 more)",
            id="Keras layout: more layers",
        ),
        pytest.param(
            "keras",
            nested_model,
            partial(dense_model, ("first", "last")),
            "it lacks layers 'first', 'last'; there is no place for its ...",
            id="Keras layout: other kinds of layers",
        ),
        pytest.param(
            "older",
            nested_model,
            partial(nested_model, 5),
            "layer 'first' expects kernel (2, 2, 4, 5), found (2, 2, 4, 3) ...",
            id="older layout: other widths",
        ),
        pytest.param(
            "keras",
            nested_model,
            partial(nested_model, 5),
            "layer 'first' expects kernel (2, 2, 4, 5), found (2, 2, 4, 3) ...",
            id="Keras layout: other widths",
        ),
        pytest.param(
            "older",
            numbered,
            partial(dense_model, ("dense", "dense_1"), (4, 6)),
            "layer 2 of 2, 'dense_1' ('dense_4' in the file), expects kernel (4, 6), found (4, 4)",
            id="older layout: numbered names, another width",
        ),
        pytest.param(
            "older",
            with_top,
            partial(dense_model, ("dense", "dense_1")),
            "there is no place for its layer 'predictions'",
            id="older layout: numbered names, a surplus layer",
        ),
        pytest.param(
            "older",
            partial(dense_model, ("dense", "dense_1")),
            with_top,
            "it lacks layer 'predictions'",
            id="older layout: numbered names, a missing layer",
        ),
    ],
)
def test_a_file_of_another_network_is_refused_with_the_layers_named(
    tmp_path: Path, layout: Layout, build_file: Build, build_model: Build, reason: str
) -> None:
    model = build_model()
    message = refusal(write_weights(build_file(), tmp_path, layout), model)
    start = f"does not fit {model.name} ({model.count_params()} parameters): {reason}"
    if reason.endswith(" ..."):
        assert message.startswith(start.removesuffix("..."))
    else:
        assert message == f"{start}. {HINT}"


@pytest.mark.parametrize(("layout", "surplus"), [("older", "predictions"), ("keras", "layers/dense")])
def test_a_file_with_top_is_refused_by_a_base_with_the_layers_of_the_top_named(
    tmp_path: Path, layout: Layout, surplus: str
) -> None:
    base = small_mobilenet()
    top = keras.layers.Dense(10, name="predictions")(keras.layers.Flatten()(base.output))
    assert refusal(write_weights(keras.Model(base.input, top), tmp_path, layout), base) == (
        f"does not fit mobilenet_0.25_32 (218,544 parameters): there is no place for its layer '{surplus}'. {HINT}"
    )


def remove(name: str) -> Spoil:
    return lambda file: file.__delitem__(name)


def add(name: str, values: npt.NDArray[Any]) -> Spoil:
    return lambda file: file.__setitem__(name, values)


def replace(name: str, shape: tuple[int, ...]) -> Spoil:
    def spoil(file: h5py.File) -> None:
        del file[name]
        # Compressed and never written, it takes a few bytes of the file whatever its shape.
        file.create_dataset(name, shape, "f4", chunks=True, compression="gzip")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(
            remove("layers/conv2d/vars/1"),
            "layer 'first' expects 2 weights (kernel, bias), found 1",
            id="a weight is missing",
        ),
        pytest.param(
            replace("layers/sequential/layers/separable_conv2d/vars/0", (3,)),
            "layer 'deep' expects depthwise_kernel (1, 1, 3, 1), found (3,)",
            id="another shape",
        ),
        pytest.param(
            replace("layers/conv2d/vars/0", (10**6, 10**6)),
            "layer 'first' expects kernel (2, 2, 4, 3), found (1000000, 1000000)",
            id="a shape of 4 TB",
        ),
        pytest.param(
            remove("layers"), "it lacks layers 'first', 'deep', 'norm' (and 1 more)", id="all layers are missing"
        ),
        pytest.param(add("more", np.zeros(4)), "there is no place for its layer 'more'", id="a surplus dataset"),
        pytest.param(
            add("layers/conv2d/vars/2", np.zeros(4)),
            "layer 'first' expects 2 weights (kernel, bias), found 3",
            id="a surplus weight",
        ),
    ],
)
def test_a_spoilt_file_is_refused_with_the_layer_named_before_a_value_is_read(
    tmp_path: Path, spoil: Spoil, reason: str
) -> None:
    model = nested_model()
    path = write_weights(model, tmp_path, "keras")
    with h5py.File(path, "a") as file:
        spoil(file)
    assert refusal(path, model) == f"does not fit small (90 parameters): {reason}. {HINT}"


@LAYOUTS
def test_a_single_nan_is_refused_with_layer_and_weight_named(tmp_path: Path, layout: Layout) -> None:
    model = nested_model()
    *others, last = (value.copy() for value in model.get_weights())
    last[0] = np.nan
    model.set_weights([*others, last])
    assert refusal(write_weights(model, tmp_path, layout), nested_model()) == (
        "holds NaN or infinity in 'bias' of layer 'last', which is refused. Use a file without."
    )


def test_a_link_is_refused_before_any_weight_is_read(tmp_path: Path) -> None:
    model = nested_model()
    path = write_weights(model, tmp_path, "keras")
    with h5py.File(path, "a") as file:
        del file["layers/conv2d_1/vars/0"]
        file["layers/conv2d_1/vars/0"] = h5py.ExternalLink(str(path), "/layers/conv2d/vars/0")
    assert refusal(path, model) == "holds a link at '/layers/conv2d_1/vars/0', which is refused. Use a file without."


@pytest.mark.parametrize(
    ("layout", "build"),
    [
        # Each file in the older layout costs a process that reads its attributes: this model has few objects.
        pytest.param("older", partial(dense_model, ("first", "last")), id="older"),
        pytest.param("keras", nested_model, id="keras"),
    ],
)
def test_a_file_without_any_of_its_groups_or_weights_is_refused(tmp_path: Path, layout: Layout, build: Build) -> None:
    model = build()
    path = write_weights(model, tmp_path, layout)
    content = path.read_bytes()
    names: list[str] = []
    with h5py.File(path) as file:
        file.visit(names.append)
    for name in names:
        path.write_bytes(content)
        with h5py.File(path, "a") as file:
            # Keras also writes a group for weights of each model itself, here empty.
            is_empty = isinstance(file[name], h5py.Group) and not len(file[name])
            del file[name]
        if not is_empty:
            refusal(path, model)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> dict[Layout, Path]:
    """Write a small model in both layouts, the names in strings of fixed length as Keras 2 wrote them."""
    folder = tmp_path_factory.mktemp("intact")
    model = nested_model()
    paths: dict[Layout, Path] = {
        "older": write_weights(model, folder, "older"),
        "keras": write_weights(model, folder, "keras"),
    }

    def fix_lengths(_: str, item: h5py.Group | h5py.Dataset) -> None:
        for name, strings in item.attrs.items():
            item.attrs[name] = np.array(strings, "S")

    with h5py.File(paths["older"], "a") as file:
        fix_lengths("/", file)
        file.visititems(fix_lengths)
    return paths


@pytest.mark.parametrize(("layout", "examples"), [("older", 60), ("keras", 200)], ids=["older", "keras"])
def test_a_file_with_changed_or_missing_bytes_is_refused_or_gives_finite_weights(
    intact: dict[Layout, Path], layout: Layout, examples: int
) -> None:
    model, path = nested_model(), intact[layout]
    content = path.read_bytes()
    positions = strategies.integers(0, len(content) - 1)
    changes = strategies.dictionaries(positions, strategies.integers(0, 255), max_size=8)
    outcomes = set()

    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(changes, strategies.none() | positions)
    def check(changes: dict[int, int], length: int | None) -> None:
        damaged = bytearray(content)
        for position, value in changes.items():
            damaged[position] = value
        path.with_name("damaged.h5").write_bytes(damaged[:length])
        before, message = model.get_weights(), ""
        try:
            load_weights(model, path.with_name("damaged.h5"))
        except GraftError as error:
            message = str(error)
        assert "\n" not in message
        outcomes.add("refused" if message else "loaded")
        after = model.get_weights()
        assert are_equal(after, before) or not message
        assert [value.shape for value in after] == [value.shape for value in before]
        assert all(np.isfinite(value).all() for value in after)

    check()
    assert outcomes == {"loaded", "refused"}
