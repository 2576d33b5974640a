from pathlib import Path
from typing import Any

import pytest

from tasks.backbone.registry import architecture
from tasks.backbone.weights import STARTER, Source, find
from tasks.common.errors import GraftError
from tasks.common.params import Params

INSTEAD = "Set backbone.weights to imagenet, none, or a file."


def found(settings: Params, name: str, **changed: Any) -> Source:
    return find(architecture(name), settings.backbone.model_copy(update=changed))


@pytest.mark.parametrize(
    ("name", "changed", "expected"),
    [
        ("MobileNet", {}, Source("starter", STARTER, 64, 0.25)),
        ("MobileNet", {"alpha": 0.25, "input_size": 96}, Source("starter", STARTER, 96, 0.25)),
        ("MobileNet", {"weights": "none"}, Source("none", None, 224, 1.0)),
        ("MobileNet", {"weights": "none", "alpha": 0.5, "input_size": 32}, Source("none", None, 32, 0.5)),
        ("Xception", {"weights": "none"}, Source("none", None, 299, None)),
    ],
)
def test_weights_come_with_the_size_and_width_they_are_for(
    settings: Params, name: str, changed: dict[str, Any], expected: Source
) -> None:
    assert found(settings, name, **changed) == expected


@pytest.mark.parametrize("ending", ["h5", "hdf5", "weights.h5"])
def test_a_file_of_ones_own_is_taken_as_it_is(settings: Params, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"own.{ending}"
    path.touch()
    assert found(settings, "VGG16", weights=str(path)) == Source(path.name, path, 224, None)


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        (
            "ResNet50",
            {},
            f"the starter weights are for MobileNet with alpha 0.25; found ResNet50. {INSTEAD}",
        ),
        (
            "MobileNet",
            {"alpha": 0.5},
            f"the starter weights are for MobileNet with alpha 0.25; found MobileNet with alpha 0.5. {INSTEAD}",
        ),
        (
            "ResNet50",
            {"alpha": 0.5, "weights": "none"},
            "backbone.alpha is 0.5, but ResNet50 has no width multiplier. Set it to null.",
        ),
        (
            "ResNet50",
            {"alpha": 0.25},
            "backbone.alpha is 0.25, but ResNet50 has no width multiplier. Set it to null.",
        ),
        (
            "MobileNet",
            {"alpha": 0.3, "weights": "imagenet"},
            "MobileNet has ImageNet weights for alpha 0.25, 0.5, 0.75, 1.0; found 0.3.",
        ),
        (
            "VGG16",
            {"weights": "no/such.h5"},
            "backbone.weights is 'no/such.h5'; expected starter, imagenet, none, or an existing .h5 file.",
        ),
        (
            "VGG16",
            {"weights": "Imagenet"},
            "backbone.weights is 'Imagenet'; expected starter, imagenet, none, or an existing .h5 file.",
        ),
        (
            "VGG16",
            {"weights": "/"},
            "backbone.weights is '/'; expected starter, imagenet, none, or an existing .h5 file.",
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
