import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.common.errors import GateError, GraftError
from tasks.common.params import Params
from tasks.dataset.stage import SCHEMA
from tasks.validation.stage import judge

REPORT = ["accepted.parquet", "docs", "quarantine.csv", "results.json"]
SPLITS = ("train", "train", "train", "train", "val", "test")

Rows = list[dict[str, Any]]


def images(label: str, count: int) -> Rows:
    """Return manifest rows of good images, of which a sixth each validate and test."""
    row = {"label": label, "phash": 1, "group": 1, "format": "PNG", "width": 9, "height": 9, "bytes": 5, "reason": None}
    return [{"path": f"{label}/{n}.png", "split": SPLITS[n % 6], "sha256": f"{label}{n}"} | row for n in range(count)]


def bad(count: int) -> Rows:
    """Return manifest rows of files that are no images."""
    empty = dict.fromkeys(SCHEMA.names)
    told = {"label": "a", "bytes": 3, "reason": "not an image"}
    return [empty | told | {"path": f"a/bad{n}.txt", "sha256": f"bad{n}"} for n in range(count)]


def judged(folder: Path, rows: Rows, settings: Params, **changed: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "manifest.parquet")
    judge(folder / "manifest.parquet", folder / "out", settings.validation.model_copy(update=changed))
    return folder / "out"


def results(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "results.json").read_text())


def without(rows: Rows, split: str) -> Rows:
    """Return the rows with that split of class b handed to another."""
    other = "val" if split == "train" else "train"
    return [row | {"split": other} if (row["label"], row["split"]) == ("b", split) else row for row in rows]


GOOD = images("a", 12) + images("b", 12)
TWO = (GOOD[1] | {"path": GOOD[0]["path"]}, GOOD[1] | {"split": "holdout"})
FAILING = {
    "unusable": (
        GOOD + bad(3),
        f"column_values_to_be_null (column set_aside, mostly 0.95): found 3 of 27: {['not an image'] * 3}",
    ),
    "path": (
        [GOOD[0], TWO[0], *GOOD[2:]],
        "column_values_to_be_unique (column path): found 2 of 24: ['a/0.png', 'a/0.png']",
    ),
    "split": (
        [GOOD[0], TWO[1], *GOOD[2:]],
        "column_values_to_be_in_set (column split, value_set ['train', 'val', 'test']): found 1 of 24: ['holdout']",
    ),
    "classes": (images("a", 12), "table_row_count_to_be_between (min_value 2): found 1"),
    "images": (
        GOOD + images("c", 6)[1:],
        "column_values_to_be_between (column images, min_value 6.0): found 1 of 3: [5]",
    ),
    "train": (
        without(GOOD, "train"),
        "column_values_to_be_between (column train, min_value 1.0): found 1 of 2: [0]",
    ),
    "val": (without(GOOD, "val"), "column_values_to_be_between (column val, min_value 1.0): found 1 of 2: [0]"),
    "test": (without(GOOD, "test"), "column_values_to_be_between (column test, min_value 1.0): found 1 of 2: [0]"),
}


def test_a_good_dataset_passes_with_its_report(tmp_path: Path, settings: Params) -> None:
    out = judged(tmp_path, GOOD, settings)
    assert sorted(path.name for path in out.iterdir()) == REPORT
    assert all(result["success"] for result in results(out))
    assert (out / "docs" / "index.html").exists()
    assert (out / "quarantine.csv").read_text() == "path,label,reason\n"
    assert pq.read_table(out / "accepted.parquet")["path"].to_pylist() == [row["path"] for row in GOOD]


@pytest.mark.parametrize("name", FAILING)
def test_each_expectation_that_fails_alone_stops_the_run_by_name_with_the_report_written(
    tmp_path: Path, settings: Params, name: str
) -> None:
    rows, told = FAILING[name]
    out = tmp_path / "out"
    with pytest.raises(GateError) as caught:
        judged(tmp_path, rows, settings)
    index = out / "docs" / "index.html"
    assert str(caught.value) == f"the dataset is not fit to train on: {told}. See {index}."
    assert index.exists()
    assert sorted(path.name for path in out.iterdir()) == REPORT
    failed = [result for result in results(out) if not result["success"]]
    assert [f"{result['expectation']}: found {result['found']}" for result in failed] == [told]
    assert [result["severity"] for result in failed] == ["critical"]


def test_every_blocking_expectation_has_its_case_above(tmp_path: Path, settings: Params) -> None:
    blocking = [
        result["expectation"]
        for result in results(judged(tmp_path, GOOD, settings))
        if result["severity"] == "critical"
    ]
    assert blocking == [told.partition("): found ")[0] + ")" for _, told in FAILING.values()]


def test_all_that_fails_is_named_at_once(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(GateError) as caught:
        judged(tmp_path, without(images("a", 12) + images("b", 12), "val") + bad(3), settings)
    assert "column set_aside" in str(caught.value)
    assert "column val" in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "changed", "expectation"),
    [
        (images("a", 24) + images("b", 6), {"max_class_ratio": 3}, "(column times_smallest, max_value 3.0)"),
        (
            [*GOOD, GOOD[0] | {"path": "b/same.png", "label": "b"}],
            {"max_unusable_fraction": 0.2},
            "(column sha256)",
        ),
    ],
    ids=["imbalance", "one image of two classes"],
)
def test_a_warning_is_reported_and_shown_but_does_not_stop_the_run(
    tmp_path: Path,
    settings: Params,
    rows: Rows,
    changed: dict[str, float],
    expectation: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = [result for result in results(judged(tmp_path, rows, settings, **changed)) if not result["success"]]
    assert [result["severity"] for result in failed] == ["warning"]
    assert failed[0]["expectation"].endswith(expectation)
    assert "Expectations that do not hold" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("good", "unusable", "limit", "passes"),
    [
        (190, 10, 0.05, True),
        (190, 9, 0.05, True),
        (189, 10, 0.05, False),
        (24, 1, 0.0, False),
        (24, 0, 0.0, True),
        (93, 7, 0.07, True),
        (90, 10, 0.1, True),
        (71, 29, 0.29, True),
    ],
)
def test_the_share_of_unusable_files_may_reach_the_limit_but_not_exceed_it(
    tmp_path: Path, settings: Params, good: int, unusable: int, limit: float, *, passes: bool
) -> None:
    rows = images("a", good // 2) + images("b", good - good // 2) + bad(unusable)
    if passes:
        out = judged(tmp_path, rows, settings, max_unusable_fraction=limit)
        assert len(pq.read_table(out / "accepted.parquet")) == good
        assert len((out / "quarantine.csv").read_text().splitlines()) == 1 + unusable
    else:
        with pytest.raises(GateError, match="column set_aside"):
            judged(tmp_path, rows, settings, max_unusable_fraction=limit)


def test_copies_are_set_aside_but_do_not_count_as_unusable(tmp_path: Path, settings: Params) -> None:
    copies = [row | {"path": f"a/copy{n}.png"} for n, row in enumerate(GOOD[:12])]
    out = judged(tmp_path, GOOD + copies, settings)
    lines = (out / "quarantine.csv").read_text().splitlines()
    assert lines[:2] == ["path,label,reason", "a/copy0.png,a,copy of a/0.png"]
    assert len(lines) == 13


def test_no_usable_image_at_all_is_a_gate_and_no_crash(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(GateError, match=r"table_row_count_to_be_between \(min_value 2\): found 0"):
        judged(tmp_path, bad(6), settings)


def test_the_whole_report_is_the_same_bytes_twice(tmp_path: Path, settings: Params) -> None:
    rows = [*GOOD, *bad(1)]
    folders = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        out = judged(tmp_path / name, rows, settings)
        folders.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert folders[0] == folders[1]
    assert any(path.suffix == ".html" for path in folders[0])


def test_a_missing_manifest_names_the_stage_to_run(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(GraftError, match="Run `dvc repro dataset`"):
        judge(tmp_path / "manifest.parquet", tmp_path / "out", settings.validation)


def test_names_from_anywhere_are_escaped_in_the_pages(tmp_path: Path, settings: Params) -> None:
    hostile = bad(1)[0] | {"reason": "<script>alert(1)</script>"}
    out = judged(tmp_path, [*GOOD, hostile], settings)
    pages = "".join(page.read_text() for page in (out / "docs").rglob("*.html"))
    assert "<script>alert(1)" not in pages
    assert "alert(1)" in pages
