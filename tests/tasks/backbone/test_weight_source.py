"""Weights of a base: the starter, ImageNet's, a file, a URL, or none."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tasks.backbone.registry import find_architecture, load_architectures
from tasks.backbone.weight_source import STARTER, WeightSource, find_explicit_weights, find_weights
from tasks.common.errors import GraftError
from tasks.common.params import Params

REMEDY = "Set backbone.weights to imagenet, none, a URL or a file."
CONTENT = b"\x89HDF\r\n\x1a\n and more"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def find(settings: Params, name: str, **changes: Any) -> WeightSource:
    return find_weights(find_architecture(name), settings.backbone.model_copy(update=changes))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache, offline: nothing can be downloaded."""
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GRAFT_OFFLINE", "1")
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    return tmp_path / "cache" / "weights"


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("MobileNet", {}, WeightSource("starter", STARTER, 64, 0.25)),
        ("MobileNet", {"alpha": 0.25, "input_size": 96}, WeightSource("starter", STARTER, 96, 0.25)),
        ("MobileNet", {"weights": "none"}, WeightSource("none", None, 224, 1.0)),
        ("MobileNet", {"weights": "none", "alpha": 0.3, "input_size": 32}, WeightSource("none", None, 32, 0.3)),
        ("Xception", {"weights": "none"}, WeightSource("none", None, 299, None)),
    ],
    ids=["starter", "starter at another size", "random", "random of another width", "random of another network"],
)
def test_weights_come_with_the_size_and_width_that_they_are_for(
    settings: Params, name: str, changes: dict[str, Any], expected: WeightSource
) -> None:
    assert find(settings, name, **changes) == expected


@pytest.mark.parametrize("ending", ["h5", "hdf5", "weights.h5"])
def test_a_file_is_accepted_when_it_has_the_sha256_of_the_params(settings: Params, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"own.{ending}"
    path.write_bytes(CONTENT)
    assert find(settings, "VGG16", weights=str(path), sha256=SHA256) == WeightSource(path.name, path, 224, None)


def test_a_copy_of_the_published_file_counts_as_imagenet_weights(
    settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.h5"
    path.write_bytes(CONTENT)
    architecture = find_architecture("EfficientNetB0")._replace(hash_no_top={None: MD5})
    monkeypatch.setitem(load_architectures(), architecture.name, architecture)
    assert find(settings, "EfficientNetB0", weights=str(path), sha256=SHA256).imagenet
    assert not find(settings, "EfficientNetB1", weights=str(path), sha256=SHA256).imagenet


def test_imagenet_weights_come_from_the_cache_and_must_have_the_sha256_of_the_params(
    settings: Params, cache: Path
) -> None:
    path = cache / "mobilenet_5_0_160_tf_no_top.h5"
    path.write_bytes(CONTENT)
    options = {"weights": "imagenet", "alpha": 0.5, "input_size": 160}
    expected = WeightSource("imagenet", path, 160, 0.5, imagenet=True)
    assert find(settings, "MobileNet", **options) == find(settings, "MobileNet", **options, sha256=SHA256) == expected
    with pytest.raises(GraftError, match="does not have the SHA-256 in backbone.sha256"):
        find(settings, "MobileNet", **options, sha256="0" * 64)


def test_a_login_page_instead_of_weights_without_a_hash_is_not_pinned(settings: Params, cache: Path) -> None:
    path = cache / "mobilenet_1_0_224_tf_no_top.h5"
    path.write_bytes(b"<!DOCTYPE html> please log in")
    with pytest.raises(GraftError) as caught:
        find(settings, "MobileNet", weights="imagenet")
    assert str(caught.value) == (
        rf"{path.name} begins with b'<!DOCTYP'; expected b'\x89HDF\r\n\x1a\n'. It is another kind of file, such as the "
        f"login page of a network in between. Put the right file there by hand as {path}."
    )
    assert sorted(entry.name for entry in cache.iterdir()) == [path.name, f"{path.name}.lock"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/mine.h5?x=1", "mine.h5"),
        ("http://127.0.0.1:80/mine.weights.h5", "mine.weights.h5"),
        ("http://localhost/mine.hdf5", "mine.hdf5"),
    ],
    ids=["https", "loopback address", "localhost"],
)
def test_weights_at_a_url_are_kept_in_the_cache_under_their_hash(cache: Path, url: str, name: str) -> None:
    path = cache / f"{SHA256[:12]}_{name}"
    path.write_bytes(CONTENT)
    assert find_explicit_weights(url, SHA256) == path


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "ResNet50",
            {},
            f"the starter weights are for MobileNet with alpha 0.25 without its top; found ResNet50. {REMEDY}",
        ),
        (
            "MobileNet",
            {"alpha": 0.5},
            (
                "the starter weights are for MobileNet with alpha 0.25 without its top; "
                f"found MobileNet with alpha 0.5. {REMEDY}"
            ),
        ),
        (
            "MobileNet",
            {"include_top": True},
            (
                "the starter weights are for MobileNet with alpha 0.25 without its top; "
                f"found MobileNet with alpha 0.25 with it. {REMEDY}"
            ),
        ),
        (
            "ResNet50",
            {"alpha": 0.5, "weights": "none"},
            "backbone.alpha is 0.5, but ResNet50 has no width multiplier. Set it to null.",
        ),
        (
            "MobileNet",
            {"alpha": 0.3, "weights": "imagenet"},
            "MobileNet has ImageNet weights for alpha 0.25, 0.5, 0.75, 1.0; found 0.3.",
        ),
        (
            "MobileNet",
            {"weights": "imagenet", "include_top": True, "input_size": 100},
            "MobileNet with its ImageNet top takes images of 128, 160, 192, 224 pixels; backbone.input_size is 100.",
        ),
        (
            "VGG16",
            {"weights": "imagenet", "include_top": True, "input_size": 100},
            "VGG16 with its ImageNet top takes images of 224 pixels; backbone.input_size is 100.",
        ),
        (
            "Xception",
            {"weights": "none", "input_size": 64},
            "backbone.input_size is 64; Xception takes images of at least 71 pixels.",
        ),
        *(
            (
                "VGG16",
                {"weights": weights},
                (
                    f"backbone.weights is '{weights}'; "
                    "expected starter, imagenet, none, an https URL, or an existing .h5 file."
                ),
            )
            for weights in ("no/such.h5", "Imagenet", "/")
        ),
        *(
            ("VGG16", {"weights": url, "sha256": SHA256}, f"backbone.weights is '{url}'; expected an https URL.")
            for url in ("http://host/mine.h5", "ftp://host/mine.h5", "file:///mine.h5")
        ),
        (
            "VGG16",
            {"weights": "https://host/mine.keras", "sha256": SHA256},
            "backbone.weights is 'https://host/mine.keras'; expected the URL of a .h5 file.",
        ),
        (
            "VGG16",
            {"weights": "https://host/mine.h5"},
            "backbone.weights is a URL; set backbone.sha256 to the file's SHA-256, as its publisher states it.",
        ),
    ],
    ids=[
        "starter for another network",
        "starter of another width",
        "starter with top",
        "width of a network without one",
        "width without ImageNet weights",
        "ImageNet top at another size",
        "ImageNet top at another size, one file",
        "too small",
        "no such file",
        "misspelt keyword",
        "folder",
        "http",
        "ftp",
        "file URL",
        "URL of another format",
        "URL without a hash",
    ],
)
def test_weights_that_do_not_fit_or_do_not_exist_are_reported_with_the_remedy(
    settings: Params, name: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(GraftError) as caught:
        find(settings, name, **changes)
    assert str(caught.value) == message


@pytest.mark.parametrize("ending", ["keras", "pkl", "H5", "npz"])
def test_a_file_of_another_format_is_refused_unopened(settings: Params, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"own.{ending}"
    path.write_bytes(b"hostile")
    with pytest.raises(GraftError) as caught:
        find(settings, "VGG16", weights=str(path))
    assert str(caught.value) == f"backbone.weights is '{path}'; expected Keras weights in HDF5 (.h5), no other format."


def test_the_error_for_a_file_without_a_hash_names_the_hash_and_a_changed_file_is_refused(
    settings: Params, tmp_path: Path
) -> None:
    path = tmp_path / "own.h5"
    path.write_bytes(CONTENT)
    with pytest.raises(GraftError) as caught:
        find(settings, "VGG16", weights=str(path))
    assert str(caught.value).endswith(f"Set backbone.sha256 to {SHA256}.")
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(GraftError) as caught:
        find(settings, "VGG16", weights=str(path), sha256=SHA256)
    assert str(caught.value).startswith(f"backbone.sha256 is {SHA256}, but '{path}' has ")
