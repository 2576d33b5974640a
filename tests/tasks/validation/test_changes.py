import json
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.tables.manifest import Row
from tasks.validation.changes import Changes, compare_images, read_images, record_changes
from tasks.validation.frames import to_frame
from tests.tasks.validation.manifests import image, images, to_table

AB = images("a", 12) + images("b", 12)


@pytest.mark.parametrize(
    ("rows", "lines", "warnings"),
    [
        pytest.param(AB, [], [], id="the same"),
        pytest.param(AB + images("a", 14)[12:], ["2 new images"], [], id="new images"),
        pytest.param(AB[1:], ["1 gone"], [], id="gone"),
        pytest.param(AB[5:], ["5 gone"], ["5 of 24 images of the last run are gone"], id="many gone"),
        pytest.param([AB[0]._replace(path="a/renamed.jpg"), *AB[1:]], ["1 moved"], [], id="moved"),
        pytest.param(
            [AB[0]._replace(path="b/0.png", label="b"), *AB[1:]],
            ["1 moved", "1 with another class"],
            [],
            id="relabelled",
        ),
        pytest.param([AB[0]._replace(split="test"), *AB[1:]], ["1 in another split"], [], id="another split"),
        pytest.param(AB + images("owl", 1), ["1 new image", "class 'owl' is new"], [], id="a new class"),
        pytest.param(
            [row._replace(label="c") if row.label == "b" else row for row in AB],
            ["12 with another class", "class 'c' is new", "class 'b' is gone"],
            ["class 'b' is gone since the last run"],
            id="a renamed class",
        ),
        pytest.param(
            [row._replace(width=768, height=576, brightness=0.54) for row in AB],
            ["the median size is 665 pixels, was 554", "the median brightness is 0.54, was 0.50"],
            [],
            id="somewhat larger and brighter",
        ),
        pytest.param(
            [row._replace(width=320, height=240, brightness=0.3) for row in AB],
            ["the median size is 277 pixels, was 554", "the median brightness is 0.30, was 0.50"],
            [
                "the median size is 277 pixels, was 554 in the last run",
                "the median brightness is 0.30, was 0.50 in the last run",
            ],
            id="much smaller and darker",
        ),
        pytest.param([row._replace(brightness=None) for row in AB], [], [], id="brightness unknown"),
        pytest.param(
            images("c", 6), ["another dataset, since none of the 24 images of then is left"], [], id="another dataset"
        ),
        pytest.param([], ["another dataset, since none of the 24 images of then is left"], [], id="no images"),
    ],
)
def test_the_changes_since_the_last_run_are_told_and_large_ones_are_warnings(
    rows: list[Row], lines: list[str], warnings: list[str]
) -> None:
    assert compare_images(to_frame(to_table(AB)), to_frame(to_table(rows))) == Changes(lines, warnings)


def test_images_of_the_last_run_that_are_missing_or_of_another_version_are_none(tmp_path: Path) -> None:
    assert read_images(tmp_path / "previous.parquet") is None
    pq.write_table(to_table([image("a/1.jpg")]).select(["path", "label"]), tmp_path / "old.parquet")
    assert read_images(tmp_path / "old.parquet") is None
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    assert read_images(tmp_path / "broken.parquet") is None


def test_the_record_names_the_manifest_that_it_is_about(tmp_path: Path) -> None:
    (tmp_path / "manifest.parquet").write_bytes(b"rows")
    record_changes(tmp_path, tmp_path / "manifest.parquet", Changes(["1 gone"], []))
    assert json.loads((tmp_path / "changes.json").read_text()) == {
        "manifest": sha256(b"rows").hexdigest(),
        "lines": ["1 gone"],
        "warnings": [],
    }
