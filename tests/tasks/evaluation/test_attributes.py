from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluation.attributes import Division, divide_images
from tasks.tables import manifest
from tests.tasks.validation.manifests import image, to_table

Cells = Sequence[str | None]


def divide(rows: Sequence[manifest.Row]) -> Division:
    return divide_images(to_table([*rows, image("x/elsewhere.jpg", width=1, height=1)]), [row.path for row in rows])


def parts_of(division: Division, attribute: str) -> dict[str, list[int]]:
    """Return the numbers of the images of each value."""
    groups = [group for group in division.groups if group.attribute == attribute]
    return {group.value: np.flatnonzero(group.mask).tolist() for group in groups if group.mask.any()}


def divide_cells(cells: Cells) -> dict[str, list[int]]:
    """Return the parts by a column of a table."""
    columns: list[dict[str, str]] = [{} if cell is None else {"column": cell} for cell in cells]
    return parts_of(divide([image(f"a/{n}", attributes=column) for n, column in enumerate(columns)]), "column")


@pytest.mark.parametrize(
    ("attribute", "columns", "expected"),
    [
        pytest.param(
            "shorter side",
            [{"width": 640 + n, "height": 2000 + n} for n in range(8)],
            {
                "up to 641 px": [0, 1],
                "over 641 to 643 px": [2, 3],
                "over 643 to 645 px": [4, 5],
                "over 645 px": [6, 7],
            },
            id="quartiles",
        ),
        pytest.param(
            "shorter side",
            [{"width": side, "height": 1500} for side in (480, 1200, 480, None)],
            {"480 px": [0, 2], "1,200 px": [1], "no value": [3]},
            id="few sizes",
        ),
        pytest.param(
            "aspect ratio",
            [{"width": 300, "height": 200}, {"width": 200, "height": 200}, {"width": 200, "height": 300}],
            {"0.667": [2], "1": [1], "1.5": [0]},
            id="aspect ratio",
        ),
        pytest.param(
            "brightness",
            [{"brightness": value} for value in (0.1201, 0.1202, 0.375, 0.5, 0.6)],
            {"up to 0.13": [0, 1], "over 0.13 to 0.38": [2], "over 0.38 to 0.5": [3], "over 0.5": [4]},
            id="short names of bounds",
        ),
        pytest.param(
            "file format",
            [{"format": name} for name in ("PNG", "JPEG", "PNG")],
            {"PNG": [0, 2], "JPEG": [1]},
            id="format",
        ),
        pytest.param("colour", [{"is_grey": True}, {"is_grey": False}], {"grey": [0], "in colour": [1]}, id="colour"),
    ],
)
def test_images_are_divided_by_what_the_scan_measured(
    attribute: str, columns: list[dict[str, Any]], expected: dict[str, list[int]]
) -> None:
    assert parts_of(divide([image(f"a/{n}", **row) for n, row in enumerate(columns)]), attribute) == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param(["b", "a", None, "b"], {"b": [0, 3], "a": [1], "no value": [2]}, id="texts"),
        pytest.param(["2015", "2016", "2015"], {"2015": [0, 2], "2016": [1]}, id="few whole numbers"),
        pytest.param(
            [str(n) for n in range(24)],
            {
                name: list(range(first, first + 6))
                for first, name in ((0, "up to 5"), (6, "over 5 to 11"), (12, "over 11 to 17"), (18, "over 17"))
            },
            id="many whole numbers",
        ),
        pytest.param(
            ["0.5", "1e300", "nan", "0.5"], {"0.5": [0, 3], "1e+300": [1], "no value": [2]}, id="few fractions"
        ),
        pytest.param(["0.5", "inf"], {"0.5": [0], "inf": [1]}, id="infinity is a text"),
    ],
)
def test_images_are_divided_by_the_columns_of_the_table(cells: Cells, expected: dict[str, list[int]]) -> None:
    assert divide_cells(cells) == expected


def test_values_beyond_the_most_frequent_ones_are_counted() -> None:
    rows = [image(f"a/{n}", attributes={"id": f"id {n}", "site": "x"}) for n in range(50)]
    division = divide(rows)
    assert division.rare == 30
    assert list(parts_of(division, "id"))[:2] == ["id 0", "id 1"]
    assert {group.attribute for group in division.groups if group.origin == "table"} == {"id", "site"}


def test_images_that_the_manifest_does_not_describe_have_no_attributes(tmp_path: Path) -> None:
    manifest.write(tmp_path / "manifest.parquet", [manifest.Row("a/1.png", "a")])
    table: pa.Table = manifest.read(tmp_path / "manifest.parquet")
    assert divide_images(table, ["a/1.png", "a/2.png"]) == Division([], 0)


@given(st.lists(st.one_of(st.none(), st.floats().map(str), st.text(min_size=1, max_size=3)), min_size=1, max_size=30))
def test_each_image_is_in_at_most_one_part_of_any_column(cells: list[str | None]) -> None:
    images = [number for part in divide_cells(cells).values() for number in part]
    assert len(images) == len(set(images))
    if len(set(cells) - {None}) in range(1, 21):
        assert sorted(images) == list(range(len(cells)))
