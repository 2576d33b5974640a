import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.features.store.collection import Collection, Description, Keys, digests, from_json, to_json
from tests.tasks.features.stores import LABEL, SPACE


def test_the_folder_of_a_space_stays_the_same_or_else_all_is_computed_again() -> None:
    assert SPACE.id == "f841cee870c6afed6ef8eba0ee4740bf51f9845d38e7595afb8b360aa2052850"


@pytest.mark.parametrize("name", Collection._fields)
def test_whatever_a_vector_depends_on_makes_another_space(name: str) -> None:
    other = SPACE._replace(**{name: 6 if name == "width" else "other"})
    assert other.id != SPACE.id


def test_digests_in_hex_become_rows_of_bytes() -> None:
    hexes = ["00" * 31 + "ff", "0123456789abcdef" * 4]
    assert [row.tobytes().hex() for row in digests(hexes)] == hexes
    assert digests([]).shape == (0, 32)


@pytest.mark.parametrize("value", [SPACE, LABEL, Description('"\\\n', "é\x1b")])
def test_a_space_or_a_label_comes_back_from_its_text(value: Collection | Description) -> None:
    assert from_json(type(value), to_json(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"\xff",
        b"null",
        b"[]",
        b'"tap"',
        b"{}",
        b'{"backbone": "a"}',
        b'{"backbone": "a", "tap": "b", "more": "c"}',
        b'{"backbone": "a", "tap": 1}',
        b'{"backbone": "a", "tap": null}',
        b'{"backbone": "a", "tap": ["b"]}',
        b"[" * 100_000,
        b'{"backbone": "a", "tap": ' + b"9" * 10_000 + b"}",
    ],
)
def test_a_text_that_is_no_label_is_none(text: bytes | None) -> None:
    assert from_json(Description, text) is None


@pytest.mark.parametrize("width", ['"5"', "5.0", "true", "null", "1e3"])
def test_a_width_that_is_no_whole_number_makes_no_space(width: str) -> None:
    assert from_json(Collection, to_json(SPACE).replace(":5", f":{width}").encode()) is None


@given(st.binary(max_size=60))
def test_no_text_at_all_raises(text: bytes) -> None:
    assert from_json(Description, text) is None


@pytest.mark.parametrize(
    ("images", "views", "found"),
    [
        (np.zeros((2, 32), np.uint8), np.zeros(3, np.uint16), "uint8 [2, 32] and uint16 [3]"),
        (np.zeros((2, 31), np.uint8), np.zeros(2, np.uint16), "uint8 [2, 31] and uint16 [2]"),
        (np.zeros((2, 32), np.int8), np.zeros(2, np.uint16), "int8 [2, 32] and uint16 [2]"),
        (np.zeros((2, 32), np.uint8), np.zeros(2, np.int64), "uint8 [2, 32] and int64 [2]"),
        (np.zeros(64, np.uint8), np.zeros(2, np.uint16), "uint8 [64] and uint16 [2]"),
        (np.zeros((2, 32), np.uint8), np.zeros((2, 1), np.uint16), "uint8 [2, 32] and uint16 [2, 1]"),
    ],
)
def test_arrays_that_are_no_keys_are_refused(images: np.ndarray, views: np.ndarray, found: str) -> None:
    told = f"expected uint8 [n, 32] and uint16 [n], found {found}"
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        Keys(images, views).check()
