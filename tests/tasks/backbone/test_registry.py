import re
from inspect import signature

import keras
import pytest

from tasks.backbone.registry import ARCHITECTURES, architecture
from tasks.common.errors import GraftError


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_row_is_found_by_its_name_and_names_a_constructor_of_keras(name: str) -> None:
    row = architecture(name)
    assert row.name == name
    assert {"input_shape", "include_top", "weights"} <= set(signature(getattr(keras.applications, name)).parameters)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_row_is_whole(name: str) -> None:
    row = architecture(name)
    assert row.mode in {"caffe", "tf", "torch"}
    assert row.input_size in {224, 299, 331}
    assert row.file.endswith(".h5")
    assert (row.md5 is None) == (name == "MobileNet")
    assert row.md5 is None or re.fullmatch("[0-9a-f]{32}", row.md5)


def test_no_two_rows_share_a_file_or_a_hash() -> None:
    assert len({row.file for row in ARCHITECTURES.values()}) == len(ARCHITECTURES)
    hashes = [row.md5 for row in ARCHITECTURES.values() if row.md5]
    assert len(set(hashes)) == len(hashes)


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
    assert str(caught.value) == f"backbone.name '{name}' is unknown.{near} Known: {', '.join(ARCHITECTURES)}."
