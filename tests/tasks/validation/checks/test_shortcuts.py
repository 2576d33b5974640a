from typing import Any

import pytest

from tasks.common.params import Params
from tasks.tables.manifest import Row
from tests.tasks.validation.manifests import find, images, sentences


def relabelled(label: str, count: int = 12, **columns: Any) -> list[Row]:
    return [row._replace(**columns) for row in images(label, count)]


@pytest.mark.parametrize(
    ("rows", "messages"),
    [
        pytest.param(images("a", 30) + images("b", 30), [], id="alike"),
        pytest.param(
            relabelled("a", format="PNG") + relabelled("b"),
            ["the format tells classes apart: class 'a' is PNG (12 of 12) and class 'b' is JPEG (12 of 12)"],
            id="a format each",
        ),
        pytest.param(
            relabelled("a", is_grey=True) + relabelled("b") + relabelled("c"),
            ["the colour tells classes apart: class 'a' is grey (12 of 12), the others are not"],
            id="one class is grey",
        ),
        pytest.param(
            relabelled("a", width=100, height=100) + relabelled("b") + relabelled("c"),
            ["the size tells classes apart: class 'a' is 100 x 100 (12 of 12), the others are not"],
            id="one class has a size of its own",
        ),
        pytest.param(
            relabelled("a", format="PNG") + relabelled("b") + relabelled("b", 20)[12:18],
            ["the format tells classes apart: class 'a' is PNG (12 of 12) and class 'b' is JPEG (18 of 18)"],
            id="classes of different sizes",
        ),
        pytest.param(
            relabelled("a", format="PNG") + relabelled("b") + relabelled("b", 20, format="PNG")[12:], [], id="mixed"
        ),
        pytest.param(relabelled("a", 9, format="PNG") + relabelled("b", 9), [], id="few images"),
        pytest.param(relabelled("a", format="PNG"), [], id="one class"),
    ],
)
def test_properties_that_tell_classes_apart_are_named(settings: Params, rows: list[Row], messages: list[str]) -> None:
    assert sentences(find("shortcuts", rows, settings)) == [("warning", message) for message in messages]
