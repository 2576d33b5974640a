"""The table of architectures, held to what keras.applications itself builds and would download."""

import re
import sys
from inspect import signature
from typing import Any
from urllib.parse import urlsplit

import keras
import pytest
from keras.src.utils import file_utils

from tasks.backbone.registry import CLASS_INDEX, HOST, Architecture, architecture, architectures, imagenet_file, sized
from tasks.common.errors import GraftError

LICENCES = {"Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "MIT"}
ROWS = list(architectures().values())


class Asked(Exception):  # noqa: N818  no error: it carries what Keras asked for
    """What keras.applications would download."""


def get_file(_name: str, origin: str, file_hash: str | None = None, **_: object) -> None:
    raise Asked(origin, file_hash)


def shape_alone(layer: keras.layers.Layer, inputs: Any, *_: object, **__: object) -> keras.KerasTensor:
    """Pass on what a layer would make of its inputs, without building it."""
    if isinstance(layer, keras.Sequential):
        for one in layer.layers:
            inputs = shape_alone(one, inputs)
        return inputs
    shapes = [tensor.shape for tensor in inputs] if isinstance(inputs, list) else inputs.shape
    if type(layer).compute_output_shape is not keras.layers.Layer.compute_output_shape:
        return keras.KerasTensor(layer.compute_output_shape(shapes))
    return inputs[0] if isinstance(inputs, list) else inputs


def test_the_table_holds_every_constructor_of_keras_applications() -> None:
    assert set(architectures()) == {name for name in dir(keras.applications) if name[0].isupper()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_whole(row: Architecture) -> None:
    assert row.mode in {"caffe", "tf", "torch", "none"}
    assert row.quirk in {"", "rescales_imagenet", "flattens"}
    assert row.smallest <= row.input_size
    assert row.licence in LICENCES
    assert urlsplit(row.source).scheme == "https"
    assert bool(row.alphas) == ("alpha" in signature(getattr(keras.applications, row.name)).parameters)
    assert (not row.hash) == (not row.hash_no_top) == (row.name in {"MobileNet", "MobileNetV2"})
    for digest in (*row.hash.values(), *row.hash_no_top.values()):
        assert re.fullmatch("[0-9a-f]{32}|[0-9a-f]{64}", digest)
    if row.hash:
        assert set(row.hash) == set(row.hash_no_top) == (set(row.alphas) or {None})


def test_no_two_rows_share_a_hash() -> None:
    hashes = [digest for row in ROWS for digest in (*row.hash.values(), *row.hash_no_top.values())]
    assert len(set(hashes)) == len(hashes)


def cases() -> list[tuple[Architecture, float | None, int, bool]]:
    """Every file that can be asked for: with and without top, of every width multiplier and size."""
    return [
        (row, alpha, size, top)
        for row in ROWS
        for alpha in (*row.alphas,) or (None,)
        for size in row.sizes or (row.input_size,)
        for top in (False, True)
    ]


@pytest.mark.parametrize(
    ("row", "alpha", "size", "top"),
    cases(),
    ids=[f"{row.name}-{alpha}-{size}-{'top' if top else 'no_top'}" for row, alpha, size, top in cases()],
)
def test_each_row_asks_for_the_very_file_that_keras_would_download(
    row: Architecture, alpha: float | None, size: int, top: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_utils, "get_file", get_file)
    # The network itself is not the matter, and building hundreds takes minutes.
    monkeypatch.setattr(keras.layers.Layer, "__call__", shape_alone)
    for module in (sys.modules[name] for name in list(sys.modules) if name.startswith("keras.src.applications.")):
        if hasattr(module, "Functional"):
            monkeypatch.setattr(module, "Functional", lambda *_, **__: None)
    options = {} if alpha is None else {"alpha": alpha}
    with pytest.raises(Asked) as caught:
        getattr(keras.applications, row.name)(include_top=top, input_shape=(size, size, 3), **options)
    file = imagenet_file(row, alpha, size, include_top=top)
    assert caught.value.args == (file.url, file.digest)
    assert re.fullmatch(r"https://storage\.googleapis\.com/[\w./-]+\.h5", file.url)
    assert file.name == file.url.rsplit("/", 1)[-1]


def test_the_index_of_classes_is_the_one_that_keras_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    utilities = keras.applications.imagenet_utils.decode_predictions.__globals__
    monkeypatch.setitem(utilities, "CLASS_INDEX", None)
    monkeypatch.setattr(file_utils, "get_file", get_file)
    with pytest.raises(Asked) as caught:
        keras.applications.imagenet_utils.decode_predictions(keras.ops.zeros((1, 1000)))
    assert caught.value.args == (CLASS_INDEX.url, CLASS_INDEX.digest)


def test_a_size_without_a_file_of_its_own_takes_that_of_the_default_size() -> None:
    row = architecture("MobileNet")
    assert imagenet_file(row, 1.0, 100, include_top=False).url == (
        f"{HOST}/tensorflow/keras-applications/mobilenet/mobilenet_1_0_224_tf_no_top.h5"
    )


def test_a_width_without_imagenet_weights_is_refused() -> None:
    with pytest.raises(GraftError) as caught:
        imagenet_file(architecture("MobileNet"), 0.3, 224, include_top=False)
    assert str(caught.value) == "MobileNet has ImageNet weights for alpha 0.25, 0.5, 0.75, 1.0; found 0.3."


@pytest.mark.parametrize(
    ("name", "size", "alpha", "expected"),
    [
        ("VGG16", None, None, (224, None)),
        ("VGG16", 32, None, (32, None)),
        ("NASNetLarge", None, None, (331, None)),
        ("MobileNetV2", 96, None, (96, 1.0)),
        ("MobileNet", None, 0.3, (224, 0.3)),
    ],
)
def test_defaults_stand_in_for_what_is_not_given(
    name: str, size: int | None, alpha: float | None, expected: tuple[int, float | None]
) -> None:
    assert sized(architecture(name), size, alpha) == expected


@pytest.mark.parametrize(
    ("name", "size", "alpha", "told"),
    [
        ("Xception", 70, None, "backbone.input_size is 70; Xception takes images of at least 71 pixels."),
        ("ResNet50", None, 0.5, "backbone.alpha is 0.5, but ResNet50 has no width multiplier. Set it to null."),
    ],
)
def test_a_size_or_width_that_does_not_fit_is_refused(
    name: str, size: int | None, alpha: float | None, told: str
) -> None:
    with pytest.raises(GraftError) as caught:
        sized(architecture(name), size, alpha)
    assert str(caught.value) == told


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_smallest_size_is_where_keras_refuses_smaller_ones(row: Architecture) -> None:
    too_small = row.smallest - 1
    with pytest.raises(ValueError, match="Input size must be at least"):
        getattr(keras.applications, row.name)(include_top=False, weights=None, input_shape=(too_small, too_small, 3))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mobilenet", " Did you mean 'MobileNet'?"),
        ("ResNet-50", " Did you mean 'ResNet50'?"),
        ("Inception_V3", " Did you mean 'InceptionV3'?"),
        ("", ""),
        ("qqq", ""),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_and_all_known(name: str, near: str) -> None:
    with pytest.raises(GraftError) as caught:
        architecture(name)
    assert str(caught.value) == (
        f"backbone.name '{name}' is unknown.{near} Known: {', '.join(architectures())}; "
        "or a network of your own, as backbones.MODULE:FUNCTION."
    )
