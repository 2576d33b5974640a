import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.store.collection import Collection, Description, Keys, from_json, to_json
from tests.tasks.store.helpers import COLLECTION, DESCRIPTION, make_keys


def test_the_folder_of_a_collection_stays_the_same_or_else_all_is_computed_again() -> None:
    assert COLLECTION.id == "f841cee870c6afed6ef8eba0ee4740bf51f9845d38e7595afb8b360aa2052850"


@pytest.mark.parametrize("name", Collection._fields)
def test_each_field_that_a_vector_depends_on_makes_another_collection(name: str) -> None:
    fields: dict[str, Any] = {name: 6 if name == "width" else "other"}
    other = COLLECTION._replace(**fields)
    assert other.id != COLLECTION.id


@pytest.mark.parametrize(
    "description",
    [DESCRIPTION, Description('"\\\n', "é\x1b"), Description("", "")],
    ids=["usual", "characters that JSON escapes", "empty"],
)
def test_a_collection_and_its_description_come_back_from_their_text(description: Description) -> None:
    assert from_json(to_json(COLLECTION, description)) == (COLLECTION, description)


def altered(part: str, **changes: object) -> str:
    """Return the text of a collection and its description with some fields changed."""
    document = json.loads(to_json(COLLECTION, DESCRIPTION))
    document[part] |= changes
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="a list"),
        pytest.param('"tap"', id="a text"),
        pytest.param("{}", id="no parts"),
        pytest.param('{"collection": [], "description": {}}', id="parts of other types"),
        pytest.param(altered("description", more="c"), id="a field too many"),
        pytest.param(altered("description", tap=1), id="a number for a text"),
        pytest.param(altered("description", tap=None), id="null for a text"),
        pytest.param(altered("description", tap=["b"]), id="a list for a text"),
        pytest.param(altered("collection", width="5"), id="a text for the width"),
        pytest.param(altered("collection", width=5.0), id="a fraction for the width"),
        pytest.param(altered("collection", width=True), id="true for the width"),
        pytest.param(altered("collection", width=None), id="null for the width"),
        pytest.param(altered("collection").replace(": 5", ": 1e3"), id="an exponent in the width"),
        pytest.param(altered("collection").replace(": 5", ": " + "9" * 10_000), id="a number of 10,000 digits"),
        pytest.param("[" * 100_000, id="nested lists"),
    ],
)
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="^not the JSON of a collection and its description$"):
        from_json(text)


@given(st.text(max_size=60))
def test_no_text_raises_another_error(text: str) -> None:
    with pytest.raises(ValueError, match="^not the JSON of a collection and its description$"):
        from_json(text)


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
    ids=["lengths", "digest length", "dtype of images", "dtype of views", "flat images", "views with an axis too many"],
)
def test_arrays_that_are_no_keys_are_refused(images: npt.NDArray[Any], views: npt.NDArray[Any], found: str) -> None:
    message = f"expected uint8 [n, 32] and uint16 [n], found {found}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Keys(images, views).check()


def test_some_keys_are_taken_by_position_by_mask_or_by_slice() -> None:
    keys = make_keys(4)
    for selected in (np.array([1, 3]), np.array([False, True, False, True]), slice(1, 4, 2)):
        some = keys.take(selected)
        np.testing.assert_array_equal(some.images, keys.images[[1, 3]])
        np.testing.assert_array_equal(some.views, keys.views[[1, 3]])
