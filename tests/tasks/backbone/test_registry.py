"""The registry of architectures, compared with what keras.applications itself builds and would download."""

import re
import sys
from inspect import signature
from urllib.parse import urlsplit

import keras
import pytest
from keras.src.utils import file_utils

from tasks.backbone.registry import (
    CLASS_INDEX,
    HOST,
    Architecture,
    find_architecture,
    find_imagenet_file,
    load_architectures,
    resolve_size,
)
from tasks.common.errors import GraftError

LICENCES = {"Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "MIT"}
ARCHITECTURES = list(load_architectures().values())


class Requested(Exception):  # noqa: N818  no error: it carries the request out of Keras
    """The URL and the hash of the file that keras.applications would download."""


def raise_request(_name: str, origin: str, file_hash: str | None = None, **_: object) -> None:
    raise Requested(origin, file_hash)


class Anything:
    """Stands for `keras.layers`, for any layer of it and for any tensor."""

    shape = (1, 64, 64, 64)

    def __call__(self, *_: object, **__: object) -> "Anything":
        """Build a layer, or call one."""
        return self

    def __getattr__(self, _name: str) -> "Anything":
        """Return a kind of layer."""
        return self

    def __add__(self, _other: object) -> "Anything":
        """Add a number to a tensor."""
        return self

    def __mul__(self, _other: object) -> "Anything":
        """Multiply a tensor by a number."""
        return self


def test_the_registry_holds_every_constructor_of_keras_applications() -> None:
    assert set(load_architectures()) == {name for name in dir(keras.applications) if name[0].isupper()}


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)
def test_every_architecture_is_complete(architecture: Architecture) -> None:
    assert architecture.mode in {"caffe", "tf", "torch", "none"}
    assert architecture.quirk in {"", "rescales_imagenet", "flattens"}
    assert architecture.smallest <= architecture.input_size
    assert architecture.licence in LICENCES
    assert urlsplit(architecture.source).scheme == "https"
    assert bool(architecture.alphas) == (
        "alpha" in signature(getattr(keras.applications, architecture.name)).parameters
    )
    assert (
        (not architecture.hash) == (not architecture.hash_no_top) == (architecture.name in {"MobileNet", "MobileNetV2"})
    )
    for digest in (*architecture.hash.values(), *architecture.hash_no_top.values()):
        assert re.fullmatch("[0-9a-f]{32}|[0-9a-f]{64}", digest)
    if architecture.hash:
        assert set(architecture.hash) == set(architecture.hash_no_top) == set(architecture.alphas or [None])


def test_no_two_files_share_a_hash() -> None:
    hashes = [
        digest
        for architecture in ARCHITECTURES
        for digest in (*architecture.hash.values(), *architecture.hash_no_top.values())
    ]
    assert len(set(hashes)) == len(hashes)


def cases() -> list[tuple[Architecture, float | None, int, bool]]:
    """Return every published file: with and without top, for every width multiplier and size."""
    return [
        (architecture, alpha, size, top)
        for architecture in ARCHITECTURES
        for alpha in (*architecture.alphas,) or (None,)
        for size in architecture.sizes or (architecture.input_size,)
        for top in (False, True)
    ]


@pytest.mark.parametrize(
    ("architecture", "alpha", "size", "top"),
    cases(),
    ids=[
        f"{architecture.name}-{alpha}-{size}-{'top' if top else 'no_top'}" for architecture, alpha, size, top in cases()
    ],
)
def test_each_architecture_names_the_file_that_keras_would_download(
    architecture: Architecture, alpha: float | None, size: int, top: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_utils, "get_file", raise_request)
    # Only the request matters here, and building hundreds of networks would take minutes.
    monkeypatch.setattr(keras.layers.Layer, "__call__", Anything())
    for module in (sys.modules[name] for name in list(sys.modules) if name.startswith("keras.src.applications.")):
        for name in ("layers", "Functional", "Sequential"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, Anything())
    options = {} if alpha is None else {"alpha": alpha}
    with pytest.raises(Requested) as caught:
        getattr(keras.applications, architecture.name)(include_top=top, input_shape=(size, size, 3), **options)
    file = find_imagenet_file(architecture, alpha, size, include_top=top)
    assert caught.value.args == (file.url, file.digest)
    assert re.fullmatch(r"https://storage\.googleapis\.com/[\w./-]+\.h5", file.url)
    assert file.name == file.url.rsplit("/", 1)[-1]


def test_the_class_index_is_the_one_that_keras_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    namespace = keras.applications.imagenet_utils.decode_predictions.__globals__
    monkeypatch.setitem(namespace, "CLASS_INDEX", None)
    monkeypatch.setattr(file_utils, "get_file", raise_request)
    with pytest.raises(Requested) as caught:
        keras.applications.imagenet_utils.decode_predictions(keras.ops.zeros((1, 1000)))
    assert caught.value.args == (CLASS_INDEX.url, CLASS_INDEX.digest)


def test_a_size_without_a_file_of_its_own_uses_the_file_of_the_default_size() -> None:
    architecture = find_architecture("MobileNet")
    assert find_imagenet_file(architecture, 1.0, 100, include_top=False).url == (
        f"{HOST}/tensorflow/keras-applications/mobilenet/mobilenet_1_0_224_tf_no_top.h5"
    )


def test_a_width_without_imagenet_weights_is_refused() -> None:
    with pytest.raises(GraftError) as caught:
        find_imagenet_file(find_architecture("MobileNet"), 0.3, 224, include_top=False)
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
    ids=["size", "given size", "another default size", "width", "given width"],
)
def test_size_and_width_default_to_those_of_the_architecture(
    name: str, size: int | None, alpha: float | None, expected: tuple[int, float | None]
) -> None:
    assert resolve_size(find_architecture(name), size, alpha) == expected


@pytest.mark.parametrize(
    ("name", "size", "alpha", "message"),
    [
        ("Xception", 70, None, "backbone.input_size is 70; Xception takes images of at least 71 pixels."),
        ("ResNet50", None, 0.5, "backbone.alpha is 0.5, but ResNet50 has no width multiplier. Set it to null."),
    ],
    ids=["too small", "no width multiplier"],
)
def test_a_size_or_width_that_does_not_fit_is_refused(
    name: str, size: int | None, alpha: float | None, message: str
) -> None:
    with pytest.raises(GraftError) as caught:
        resolve_size(find_architecture(name), size, alpha)
    assert str(caught.value) == message


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)
def test_keras_refuses_images_smaller_than_the_smallest_size(architecture: Architecture) -> None:
    too_small = architecture.smallest - 1
    with pytest.raises(ValueError, match="Input size must be at least"):
        getattr(keras.applications, architecture.name)(
            include_top=False, weights=None, input_shape=(too_small, too_small, 3)
        )


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("mobilenet", " Did you mean 'MobileNet'?"),
        ("ResNet-50", " Did you mean 'ResNet50'?"),
        ("Inception_V3", " Did you mean 'InceptionV3'?"),
        ("", ""),
        ("qqq", ""),
    ],
    ids=["lower case", "with a dash", "with an underscore", "empty", "like none"],
)
def test_an_unknown_name_is_reported_with_the_nearest_and_all_known_names(name: str, suggestion: str) -> None:
    with pytest.raises(GraftError) as caught:
        find_architecture(name)
    assert str(caught.value) == (
        f"backbone.name '{name}' is unknown.{suggestion} Known: {', '.join(load_architectures())}; "
        "or a network of your own, as backbones.MODULE:FUNCTION."
    )
