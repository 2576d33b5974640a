from typing import Any

import numpy as np
import pytest

from tasks.images.preprocessing import Preprocessing, Variant, by_variant

PREPROCESSING = Preprocessing(224, "1" * 64, "2" * 64, "onnxruntime 1.32.0")
VARIANTS = [Variant(scaled, is_view) for scaled in (False, True) for is_view in (False, True)]


def test_exact_and_reduced_decoding_have_different_identities() -> None:
    assert PREPROCESSING.min_side == 448
    assert PREPROCESSING.identity(scaled=False) != PREPROCESSING.identity(scaled=True)


@pytest.mark.parametrize(("share", "min_side"), [(1, 448), (0.875, 512), (0.9, 498), (0.5, 896)])
def test_the_part_of_an_image_in_use_keeps_twice_the_pixels(share: float, min_side: int) -> None:
    assert PREPROCESSING._replace(crop_share=share).min_side == min_side


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        pytest.param({"resize": "3" * 64}, VARIANTS, id="another resize"),
        pytest.param({"size": 192}, VARIANTS, id="another size"),
        pytest.param({"runtime": "onnxruntime 2"}, VARIANTS, id="another version of the runtime"),
        pytest.param({"augmentation": "4" * 64}, [VARIANTS[1], VARIANTS[3]], id="another augmentation"),
    ],
)
def test_pixels_made_in_another_way_are_in_another_collection(change: dict[str, Any], changed: list[Variant]) -> None:
    other = PREPROCESSING._replace(**change)
    ids = {variant: PREPROCESSING.pixels(variant).id for variant in VARIANTS}
    assert len(set(ids.values())) == len(VARIANTS)
    assert [variant for variant in VARIANTS if other.pixels(variant).id != ids[variant]] == changed


def test_each_row_belongs_to_one_variant() -> None:
    views = np.array([0, 3, 0, 1, 0], np.uint16)
    scaled = np.array([True, True, False, True, True])
    assert {variant: mask.tolist() for mask, variant in by_variant(views, scaled)} == {
        Variant(scaled=False, is_view=False): [False, False, True, False, False],
        Variant(scaled=True, is_view=False): [True, False, False, False, True],
        Variant(scaled=True, is_view=True): [False, True, False, True, False],
    }
