from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from tasks.common.errors import GraftError
from tasks.networks import saving

HINT = (
    "Use the file made for this network, of keras.applications the one without top, "
    "or change backbone.name or backbone.alpha."
)
LAYOUTS = pytest.mark.parametrize("layout", ["older", "keras"])
Spoil = Callable[[h5py.File], None]


def network(width: int = 3, names: tuple[str, ...] = ("one", "two")) -> keras.Model:
    """Return a network of a model in a model; `names` are of the layers before and after it."""
    keras.utils.set_random_seed(1)
    inner = [keras.layers.SeparableConv2D(width, 1, name="deep"), keras.layers.BatchNormalization(name="norm")]
    layers = [
        *(keras.layers.Conv2D(width, 2, name=name) for name in names[:1]),
        keras.Sequential([keras.Input((None, None, width)), *inner], name="inner"),
        *(keras.layers.Conv2D(width, 1, name=name) for name in names[1:]),
    ]
    return keras.Sequential([keras.Input((None, None, 4)), *layers], name="small")


def shake(model: keras.Model, seed: int) -> None:
    """Give the model random weights, none of them negative: a variance is not."""
    random = np.random.default_rng(seed)
    model.set_weights([(0.05 * random.random(value.shape)).astype(value.dtype) for value in model.get_weights()])


def write(model: keras.Model, folder: Path, layout: str) -> Path:
    """Let Keras write the weights, in one of its two layouts."""
    path = folder / {"older": "weights.h5", "keras": "keras.weights.h5"}[layout]
    if layout == "keras":
        model.save_weights(path)
    else:
        with h5py.File(path, "w") as file:
            save_weights_to_hdf5_group(file, model)
    return path


def same(found: list[Any], expected: list[Any]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@contextmanager
def unchanged(model: keras.Model) -> Iterator[None]:
    before = model.get_weights()
    yield
    assert same(model.get_weights(), before)


def refusal(path: Path, model: keras.Model) -> str:
    with pytest.raises(GraftError) as caught, unchanged(model):
        saving.load_weights(model, path)
    told = str(caught.value)
    assert told.startswith(f"{path} ")
    assert "\n" not in told
    return told.removeprefix(f"{path} ")


def test_a_network_comes_back_as_it_was_and_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    model = network()
    saving.save(model, tmp_path / "new" / "one", "small")
    loaded = saving.load(tmp_path / "new" / "one", "small")
    saving.save(loaded, tmp_path / "two", "small")
    batch = np.random.default_rng(0).normal(size=(5, 3, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(loaded(batch)), np.asarray(model(batch)))
    for name in ("small.json", "small.weights.h5"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "new" / "one" / name).read_bytes()


def test_saving_again_replaces_the_weights(tmp_path: Path) -> None:
    saving.save(network(3), tmp_path, "small")
    saving.save(network(5), tmp_path, "small")
    assert saving.load(tmp_path, "small").output_shape[-1] == 5


def application(name: str, **options: Any) -> keras.Model:
    return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(32, 32, 3), **options)


@pytest.mark.parametrize(
    "build",
    [
        lambda: application("MobileNet", alpha=0.25),
        lambda: application("DenseNet121"),
        lambda: application("EfficientNetB0"),
        network,
    ],
    ids=["MobileNet", "DenseNet121", "EfficientNetB0", "a model in a model"],
)
def test_weights_become_what_keras_makes_of_them(tmp_path: Path, build: Callable[[], keras.Model]) -> None:
    model = build()
    for seed, layout in enumerate(("older", "keras")):
        shake(model, seed)
        written, path = model.get_weights(), write(model, tmp_path, layout)
        for load in (model.load_weights, partial(saving.load_weights, model)):
            shake(model, 2)
            load(path)
            assert same(model.get_weights(), written)


@LAYOUTS
def test_a_layer_that_computes_from_its_weights_does_it_again(tmp_path: Path, layout: str) -> None:
    normalization = keras.layers.Normalization()
    model = keras.Sequential([keras.Input((4,)), keras.Sequential([keras.Input((4,)), normalization])])
    path = write(model, tmp_path, layout)
    normalization.adapt(np.random.default_rng(0).random((9, 4)))
    assert not np.array_equal(np.asarray(model(np.ones((1, 4)))), np.ones((1, 4)))
    saving.load_weights(model, path)
    assert np.array_equal(np.asarray(model(np.ones((1, 4)))), np.ones((1, 4)))


@LAYOUTS
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_numbers_of_another_precision_are_cast_as_keras_casts_them(tmp_path: Path, layout: str, dtype: type) -> None:
    model = network()
    path = write(model, tmp_path, layout)
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visititems(lambda name, one: names.append(name) if isinstance(one, h5py.Dataset) else None)
        for name in names:
            values = file[name][()]
            del file[name]
            file[name] = values.astype(dtype)
    model.load_weights(path)
    expected = model.get_weights()
    shake(model, 1)
    saving.load_weights(model, path)
    assert same(model.get_weights(), expected)


@LAYOUTS
@pytest.mark.parametrize("name", ["a.h5", "a.weights.h5", "a.hdf5"])
def test_a_file_is_loaded_whatever_its_name(tmp_path: Path, layout: str, name: str) -> None:
    model = network()
    expected, path = model.get_weights(), write(model, tmp_path, layout).rename(tmp_path / name)
    shake(model, 1)
    saving.load_weights(model, path)
    assert same(model.get_weights(), expected)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("write", ["save", "save_weights"])
def test_the_optimizer_of_a_trained_model_is_not_saved_and_one_in_a_file_is_passed_over(
    tmp_path: Path, write: str
) -> None:
    model = network()
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3, 3, 4)), np.ones((4, 2, 2, 3)), verbose=0)
    saving.save(model, tmp_path, "mine")
    with h5py.File(tmp_path / "mine.weights.h5") as file:
        assert "optimizer" not in file
    path = tmp_path / {"save": "whole.h5", "save_weights": "theirs.weights.h5"}[write]
    getattr(model, write)(path)
    with h5py.File(path) as file:
        assert any(name.startswith("optimizer") for name in file)
    for again in (network(), model):
        expected = model.get_weights()
        shake(again, 1)
        saving.load_weights(again, path)
        assert same(again.get_weights(), expected)


def two(names: tuple[str, str], widths: tuple[int, int] = (4, 4)) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(width, name=name) for name, width in zip(names, widths, strict=True)]
    return keras.Sequential([keras.Input((4,)), *layers], name="two")


@pytest.mark.parametrize(
    ("theirs", "ours", "turned"),
    [
        (("a", "b"), ("a", "b"), False),
        (("a", "b"), ("b", "a"), True),
        (("dense_7", "dense_8"), ("dense", "dense_1"), False),
        (("dense_1", "dense_2"), ("dense_2", "dense_1"), False),
        (("old", "older"), ("a", "b"), False),
        (("old", "a"), ("a", "b"), True),
    ],
    ids=["the same", "turned round", "counted on", "counted otherwise", "others", "partly others"],
)
def test_names_of_the_older_layout_match_layers_and_where_keras_made_them_the_order_does(
    tmp_path: Path, theirs: tuple[str, str], ours: tuple[str, str], *, turned: bool
) -> None:
    source, model = two(theirs), two(ours)
    saving.load_weights(model, write(source, tmp_path, "older"))
    first, second = (layer.get_weights() for layer in source.layers)
    assert same(model.get_weights(), [*second, *first] if turned else [*first, *second])


COUNTED = partial(two, ("dense_3", "dense_4"))


def topped() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), *COUNTED().layers, keras.layers.Dense(2, name="predictions")])


@pytest.mark.parametrize(
    ("layout", "theirs", "ours", "told"),
    [
        ("older", network, partial(network, 3, ("one",)), "there is no place for its layer 'two'"),
        ("keras", network, partial(network, 3, ("one",)), "there is no place for its layer 'layers/conv2d_1'"),
        ("older", partial(network, 3, ("one",)), network, "it lacks layer 'two'"),
        ("keras", partial(network, 3, ("one",)), network, "it lacks layer 'two'"),
        (
            "older",
            partial(network, 3, tuple("abcde")),
            network,
            "it lacks layers 'one', 'two'; there is no place for its layers 'a', 'b', 'c' (and 2 more)",
        ),
        (
            "keras",
            partial(network, 3, tuple("abcdef")),
            network,
            "there is no place for its layers 'layers/conv2d_2', 'layers/conv2d_3', 'layers/conv2d_4' (and 1 more)",
        ),
        ("keras", network, partial(two, ("one", "two")), "it lacks layers 'one', 'two'; there is no place for its ..."),
        ("older", network, partial(network, 5), "layer 'one' expects kernel (2, 2, 4, 5), found (2, 2, 4, 3) ..."),
        ("keras", network, partial(network, 5), "layer 'one' expects kernel (2, 2, 4, 5), found (2, 2, 4, 3) ..."),
        (
            "older",
            COUNTED,
            partial(two, ("dense", "dense_1"), (4, 6)),
            "layer 2 of 2, 'dense_1' ('dense_4' in the file), expects kernel (4, 6), found (4, 4)",
        ),
        ("older", topped, partial(two, ("dense", "dense_1")), "there is no place for its layer 'predictions'"),
        ("older", partial(two, ("dense", "dense_1")), topped, "it lacks layer 'predictions'"),
    ],
)
def test_a_file_of_another_network_is_refused_with_the_layers_named(
    tmp_path: Path, layout: str, theirs: Callable[[], keras.Model], ours: Callable[[], keras.Model], told: str
) -> None:
    model = ours()
    reason = refusal(write(theirs(), tmp_path, layout), model)
    start = f"does not fit {model.name} ({model.count_params()} parameters): {told}"
    if told.endswith(" ..."):
        assert reason.startswith(start.removesuffix("..."))
    else:
        assert reason == f"{start}. {HINT}"


@LAYOUTS
def test_the_classifier_on_top_is_what_the_file_has_too_much(tmp_path: Path, layout: str) -> None:
    base = application("MobileNet", alpha=0.25)
    top = keras.layers.Dense(10, name="predictions")(keras.layers.Flatten()(base.output))
    place = {"older": "predictions", "keras": "layers/dense"}[layout]
    assert refusal(write(keras.Model(base.input, top), tmp_path, layout), base) == (
        f"does not fit mobilenet_0.25_32 (218,544 parameters): there is no place for its layer '{place}'. {HINT}"
    )


def change(path: str, value: Any) -> Spoil:
    def spoil(file: h5py.File) -> None:
        del file[path]
        if value is not None:
            file[path] = value

    return spoil


def bomb(file: h5py.File) -> None:
    del file["layers/conv2d/vars/0"]
    file.create_dataset("layers/conv2d/vars/0", (10**6, 10**6), "f4", compression="gzip")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (change("layers/conv2d/vars/1", None), "layer 'one' expects 2 weights (kernel, bias), found 1"),
        (
            change("layers/sequential/layers/separable_conv2d/vars/0", np.ones(3)),
            "layer 'deep' expects depthwise_kernel (1, 1, 3, 1), found (3,)",
        ),
        (bomb, "layer 'one' expects kernel (2, 2, 4, 3), found (1000000, 1000000)"),
        (change("layers", None), "it lacks layers 'one', 'deep', 'norm' (and 1 more)"),
        (lambda file: file.__setitem__("more", np.zeros(4)), "there is no place for its layer 'more'"),
        (
            lambda file: file.__setitem__("layers/conv2d/vars/2", np.zeros(4)),
            "layer 'one' expects 2 weights (kernel, bias), found 3",
        ),
    ],
    ids=["a weight less", "another shape", "bomb", "nothing", "more", "a weight more"],
)
def test_a_spoilt_file_is_refused_with_the_layer_before_a_value_is_read(
    tmp_path: Path, spoil: Spoil, told: str
) -> None:
    model = network()
    path = write(model, tmp_path, "keras")
    with h5py.File(path, "a") as file:
        spoil(file)
    assert refusal(path, model) == f"does not fit small (90 parameters): {told}. {HINT}"


@LAYOUTS
def test_one_nan_is_refused_with_the_layer_s_name_and_nothing_is_loaded(tmp_path: Path, layout: str) -> None:
    model = network()
    *others, last = (value.copy() for value in model.get_weights())
    last[0] = np.nan
    model.set_weights([*others, last])
    assert refusal(write(model, tmp_path, layout), network()) == (
        "holds NaN or infinity in layer 'two', which is refused. Use a file without."
    )


def test_a_link_to_elsewhere_is_refused_before_any_weight_is_read(tmp_path: Path) -> None:
    model = network()
    path = write(model, tmp_path, "keras")
    with h5py.File(path, "a") as file:
        del file["layers/conv2d_1/vars/0"]
        file["layers/conv2d_1/vars/0"] = h5py.ExternalLink(str(path), "/layers/conv2d/vars/0")
    assert refusal(path, model) == ("holds a link at '/layers/conv2d_1/vars/0', which is refused. Use a file without.")


def objects(path: Path) -> list[str]:
    names: list[str] = []
    with h5py.File(path) as file:
        file.visit(names.append)
    return names


@LAYOUTS
def test_without_any_one_of_its_groups_and_weights_a_file_is_refused(tmp_path: Path, layout: str) -> None:
    model = network()
    path = write(model, tmp_path, layout)
    content = path.read_bytes()
    for name in objects(path):
        path.write_bytes(content)
        with h5py.File(path, "a") as file:
            # Keras gives the model, and each model in it, a place for weights of its own, here empty.
            empty = isinstance(file[name], h5py.Group) and not len(file[name])
            del file[name]
        if not empty:
            refusal(path, model)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a small network in both layouts; the names in strings of one length, as Keras 2 wrote them."""
    folder = tmp_path_factory.mktemp("intact")
    paths = {layout: write(network(), folder, layout) for layout in ("older", "keras")}

    def fix(_: str, one: h5py.Group) -> None:
        for name, words in one.attrs.items():
            one.attrs[name] = np.array(words, "S")

    with h5py.File(paths["older"], "a") as file:
        fix("/", file)
        file.visititems(fix)
    return paths


@pytest.mark.parametrize(("layout", "examples"), [("older", 60), ("keras", 200)])
def test_a_file_with_bytes_flipped_or_cut_off_is_refused_or_gives_finite_weights(
    intact: dict[str, Path], layout: str, examples: int
) -> None:
    model, path = network(), intact[layout]
    content = path.read_bytes()
    place = strategies.integers(0, len(content) - 1)
    flips = strategies.dictionaries(place, strategies.integers(0, 255), max_size=8)
    outcomes = set()

    @hypothesis.settings(max_examples=examples)
    @hypothesis.given(flips, strategies.none() | place)
    def check(flips: dict[int, int], cut: int | None) -> None:
        damaged = bytearray(content)
        for where, value in flips.items():
            damaged[where] = value
        path.with_name("damaged.h5").write_bytes(damaged[:cut])
        before, told = model.get_weights(), ""
        try:
            saving.load_weights(model, path.with_name("damaged.h5"))
        except GraftError as error:
            told = str(error)
        assert "\n" not in told
        outcomes.add("refused" if told else "loaded")
        after = model.get_weights()
        assert same(after, before) or not told
        assert [value.shape for value in after] == [value.shape for value in before]
        assert all(np.isfinite(value).all() for value in after)

    check()
    assert outcomes == {"loaded", "refused"}
