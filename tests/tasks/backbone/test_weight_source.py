import hashlib
from pathlib import Path
from typing import Any

import pytest

from tasks.backbone.registry import architecture, architectures
from tasks.backbone.weight_source import STARTER, Source, find, given
from tasks.common.errors import GraftError
from tasks.common.params import Params

INSTEAD = "Set backbone.weights to imagenet, none, a URL or a file."
CONTENT = b"\x89HDF\r\n\x1a\n and more"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def found(settings: Params, name: str, **changed: Any) -> Source:
    return find(architecture(name), settings.backbone.model_copy(update=changed))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty cache that is all there is: nothing may be downloaded."""
    monkeypatch.setenv("GRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GRAFT_OFFLINE", "1")
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    return tmp_path / "cache" / "weights"


@pytest.mark.parametrize(
    ("name", "changed", "expected"),
    [
        ("MobileNet", {}, Source("starter", STARTER, 64, 0.25)),
        ("MobileNet", {"alpha": 0.25, "input_size": 96}, Source("starter", STARTER, 96, 0.25)),
        ("MobileNet", {"weights": "none"}, Source("none", None, 224, 1.0)),
        ("MobileNet", {"weights": "none", "alpha": 0.3, "input_size": 32}, Source("none", None, 32, 0.3)),
        ("Xception", {"weights": "none"}, Source("none", None, 299, None)),
    ],
)
def test_weights_come_with_the_size_and_width_they_are_for(
    settings: Params, name: str, changed: dict[str, Any], expected: Source
) -> None:
    assert found(settings, name, **changed) == expected


@pytest.mark.parametrize("ending", ["h5", "hdf5", "weights.h5"])
def test_a_file_of_ones_own_is_taken_when_it_has_the_hash_that_params_hold_it_to(
    settings: Params, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"own.{ending}"
    path.write_bytes(CONTENT)
    assert found(settings, "VGG16", weights=str(path), sha256=SHA256) == Source(path.name, path, 224, None)


def test_a_file_of_ones_own_that_is_the_published_one_counts_as_imagenets(
    settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.h5"
    path.write_bytes(CONTENT)
    row = architecture("EfficientNetB0")._replace(hash_no_top={None: MD5})
    monkeypatch.setitem(architectures(), row.name, row)
    assert found(settings, "EfficientNetB0", weights=str(path), sha256=SHA256).imagenet
    assert not found(settings, "EfficientNetB1", weights=str(path), sha256=SHA256).imagenet


def test_imagenet_weights_are_those_of_the_cache_and_held_to_the_hash_in_params(settings: Params, cache: Path) -> None:
    path = cache / "mobilenet_5_0_160_tf_no_top.h5"
    path.write_bytes(CONTENT)
    asked = {"weights": "imagenet", "alpha": 0.5, "input_size": 160}
    expected = Source("imagenet", path, 160, 0.5, imagenet=True)
    assert found(settings, "MobileNet", **asked) == found(settings, "MobileNet", **asked, sha256=SHA256) == expected
    with pytest.raises(GraftError, match="does not have the SHA-256 in backbone.sha256"):
        found(settings, "MobileNet", **asked, sha256="0" * 64)


def test_a_login_page_in_the_place_of_weights_without_a_hash_is_not_pinned(settings: Params, cache: Path) -> None:
    path = cache / "mobilenet_1_0_224_tf_no_top.h5"
    path.write_bytes(b"<!DOCTYPE html> please log in")
    with pytest.raises(GraftError) as caught:
        found(settings, "MobileNet", weights="imagenet")
    assert str(caught.value) == (
        rf"{path.name} begins with b'<!DOCTYP'; expected b'\x89HDF\r\n\x1a\n'. It is another kind of file, such as the "
        f"login page of a network in between. Put the right file there by hand as {path}."
    )
    assert sorted(place.name for place in cache.iterdir()) == [path.name, f"{path.name}.lock"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/mine.h5?x=1", "mine.h5"),
        ("http://127.0.0.1:80/mine.weights.h5", "mine.weights.h5"),
        ("http://localhost/mine.hdf5", "mine.hdf5"),
    ],
)
def test_weights_at_a_url_are_kept_in_the_cache_under_their_hash(cache: Path, url: str, name: str) -> None:
    place = cache / f"{SHA256[:12]}_{name}"
    place.write_bytes(CONTENT)
    assert given(url, SHA256) == place


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        (
            "ResNet50",
            {},
            f"the starter weights are for MobileNet with alpha 0.25 without its top; found ResNet50. {INSTEAD}",
        ),
        (
            "MobileNet",
            {"alpha": 0.5},
            (
                "the starter weights are for MobileNet with alpha 0.25 without its top; "
                f"found MobileNet with alpha 0.5. {INSTEAD}"
            ),
        ),
        (
            "MobileNet",
            {"include_top": True},
            (
                "the starter weights are for MobileNet with alpha 0.25 without its top; "
                f"found MobileNet with alpha 0.25 with it. {INSTEAD}"
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
)
def test_weights_that_do_not_fit_or_are_not_there_are_told_with_what_to_set(
    settings: Params, name: str, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(GraftError) as caught:
        found(settings, name, **changed)
    assert str(caught.value) == told


@pytest.mark.parametrize("ending", ["keras", "pkl", "H5", "npz"])
def test_a_file_of_another_format_is_refused_unopened(settings: Params, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"own.{ending}"
    path.write_bytes(b"hostile")
    with pytest.raises(GraftError) as caught:
        found(settings, "VGG16", weights=str(path))
    assert str(caught.value) == f"backbone.weights is '{path}'; expected Keras weights in HDF5 (.h5), no other format."


def test_a_file_without_a_hash_is_told_the_hash_to_set_and_a_changed_file_is_refused(
    settings: Params, tmp_path: Path
) -> None:
    path = tmp_path / "own.h5"
    path.write_bytes(CONTENT)
    with pytest.raises(GraftError) as caught:
        found(settings, "VGG16", weights=str(path))
    assert str(caught.value).endswith(f"Set backbone.sha256 to {SHA256}.")
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(GraftError) as caught:
        found(settings, "VGG16", weights=str(path), sha256=SHA256)
    assert str(caught.value).startswith(f"backbone.sha256 is {SHA256}, but '{path}' has ")
