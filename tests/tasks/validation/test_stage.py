import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.common.errors import GateError, GraftError, QuarantineKind
from tasks.common.params import Params
from tasks.tables.manifest import SCHEMA
from tasks.validation.stage import validate_dataset

REPORT = ["accepted.parquet", "docs", "quarantine.csv", "results.json", "summary.json"]
SPLITS = ("train", "train", "train", "train", "val", "test")

Rows = list[dict[str, Any]]


def good(label: str, count: int) -> Rows:
    """Return manifest rows of good images, of which a sixth each validate and test."""
    row = {"label": label, "phash": 1, "group": 1, "format": "PNG", "width": 9, "height": 9, "bytes": 5}
    row |= {"kind": None, "reason": None}
    return [{"path": f"{label}/{n}.png", "split": SPLITS[n % 6], "sha256": f"{label}{n}"} | row for n in range(count)]


def bad(count: int) -> Rows:
    """Return manifest rows of files that are no images."""
    empty = dict.fromkeys(SCHEMA.names)
    verdict = {"label": "a", "bytes": 3, "kind": QuarantineKind.UNKNOWN_FORMAT, "reason": "not an image"}
    return [empty | verdict | {"path": f"a/bad{n}.txt", "sha256": f"bad{n}"} for n in range(count)]


def validate(folder: Path, rows: Rows, settings: Params, **changed: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "manifest.parquet")
    validate_dataset(folder / "manifest.parquet", folder / "out", settings.validation.model_copy(update=changed))
    return folder / "out"


def results(out: Path) -> Rows:
    rows: Rows = json.loads((out / "results.json").read_text())
    return rows


def without(rows: Rows, split: str) -> Rows:
    """Return the rows with that split of class b handed to another."""
    other = "val" if split == "train" else "train"
    return [row | {"split": other} if (row["label"], row["split"]) == ("b", split) else row for row in rows]


GOOD = good("a", 12) + good("b", 12)
CHANGED = (GOOD[1] | {"path": GOOD[0]["path"]}, GOOD[1] | {"split": "holdout"})
FAILING = {
    "unusable": (
        GOOD + bad(3),
        f"column_values_to_be_null (column set_aside, mostly 0.95): found 3 of 27: {['not an image'] * 3}",
    ),
    "path": (
        [GOOD[0], CHANGED[0], *GOOD[2:]],
        "column_values_to_be_unique (column path): found 2 of 24: ['a/0.png', 'a/0.png']",
    ),
    "split": (
        [GOOD[0], CHANGED[1], *GOOD[2:]],
        "column_values_to_be_in_set (column split, value_set ['train', 'val', 'test']): found 1 of 24: ['holdout']",
    ),
    "classes": (good("a", 12), "table_row_count_to_be_between (min_value 2): found 1"),
    "images": (
        GOOD + good("c", 6)[1:],
        "column_values_to_be_between (column images, min_value 6.0): found 1 of 3: [5]",
    ),
    "train": (
        without(GOOD, "train"),
        "column_values_to_be_between (column train, min_value 1.0): found 1 of 2: [0]",
    ),
    "val": (without(GOOD, "val"), "column_values_to_be_between (column val, min_value 1.0): found 1 of 2: [0]"),
    "test": (without(GOOD, "test"), "column_values_to_be_between (column test, min_value 1.0): found 1 of 2: [0]"),
}


@pytest.fixture(scope="module")
def good_report(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Validate a dataset without faults."""
    return validate(tmp_path_factory.mktemp("good"), GOOD, settings)


def test_a_good_dataset_passes_with_its_report(good_report: Path) -> None:
    assert sorted(path.name for path in good_report.iterdir()) == REPORT
    assert all(result["success"] for result in results(good_report))
    assert (good_report / "docs" / "index.html").exists()
    assert (good_report / "quarantine.csv").read_text() == "path,label,kind,reason\n"


def test_the_accepted_images_are_the_rows_of_the_manifest_without_kind_and_reason(good_report: Path) -> None:
    table = pq.read_table(good_report / "accepted.parquet")
    assert table.schema.names == [name for name in SCHEMA.names if name not in {"kind", "reason"}]
    assert table.to_pylist() == [{name: row[name] for name in table.schema.names} for row in GOOD]


@pytest.mark.parametrize("name", FAILING)
def test_each_expectation_that_fails_alone_stops_the_run_by_name_with_the_report_written(
    tmp_path: Path, settings: Params, name: str
) -> None:
    rows, failure = FAILING[name]
    out = tmp_path / "out"
    with pytest.raises(GateError) as caught:
        validate(tmp_path, rows, settings)
    index = out / "docs" / "index.html"
    assert str(caught.value) == f"the dataset is not fit to train on: {failure}. See {index}."
    assert index.exists()
    assert sorted(path.name for path in out.iterdir()) == REPORT
    failed = [result for result in results(out) if not result["success"]]
    assert [f"{result['expectation']}: found {result['found']}" for result in failed] == [failure]
    assert [result["severity"] for result in failed] == ["critical"]


def test_every_blocking_expectation_has_its_case_above(good_report: Path) -> None:
    blocking = [result["expectation"] for result in results(good_report) if result["severity"] == "critical"]
    assert blocking == [failure.partition("): found ")[0] + ")" for _, failure in FAILING.values()]


def test_all_failures_are_named_at_once(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(GateError) as caught:
        validate(tmp_path, without(good("a", 12) + good("b", 12), "val") + bad(3), settings)
    assert "column set_aside" in str(caught.value)
    assert "column val" in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "changed", "expectation"),
    [
        (good("a", 24) + good("b", 6), {"max_class_ratio": 3}, "(column times_smallest, max_value 3.0)"),
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
    failed = [result for result in results(validate(tmp_path, rows, settings, **changed)) if not result["success"]]
    assert [result["severity"] for result in failed] == ["warning"]
    assert failed[0]["expectation"].endswith(expectation)
    assert "Expectations that do not hold" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("usable", "unusable", "limit", "passes"),
    [
        pytest.param(190, 10, 0.05, True, id="at the limit"),
        pytest.param(189, 10, 0.05, False, id="above the limit"),
        pytest.param(24, 1, 0.0, False, id="none is allowed"),
        pytest.param(71, 29, 0.29, True, id="at a limit that is no binary fraction"),
        pytest.param(190, 9, 0.05, True, id="below the limit", marks=pytest.mark.thorough),
        pytest.param(24, 0, 0.0, True, id="none is allowed and there is none", marks=pytest.mark.thorough),
        pytest.param(93, 7, 0.07, True, id="at 0.07", marks=pytest.mark.thorough),
        pytest.param(90, 10, 0.1, True, id="at 0.1", marks=pytest.mark.thorough),
    ],
)
def test_the_share_of_unusable_files_may_reach_the_limit_but_not_exceed_it(
    tmp_path: Path, settings: Params, usable: int, unusable: int, limit: float, *, passes: bool
) -> None:
    rows = good("a", usable // 2) + good("b", usable - usable // 2) + bad(unusable)
    if passes:
        out = validate(tmp_path, rows, settings, max_unusable_fraction=limit)
        assert len(pq.read_table(out / "accepted.parquet")) == usable
        assert len((out / "quarantine.csv").read_text().splitlines()) == 1 + unusable
    else:
        with pytest.raises(GateError, match="column set_aside"):
            validate(tmp_path, rows, settings, max_unusable_fraction=limit)


def test_copies_are_set_aside_but_do_not_count_as_unusable(tmp_path: Path, settings: Params) -> None:
    copies = [row | {"path": f"a/copy{n}.png"} for n, row in enumerate(GOOD[:12])]
    out = validate(tmp_path, GOOD + copies, settings)
    lines = (out / "quarantine.csv").read_text().splitlines()
    assert lines[:2] == ["path,label,kind,reason", "a/copy0.png,a,copy,copy of a/0.png"]
    assert len(lines) == 13


def test_no_usable_image_at_all_is_a_gate_and_no_crash(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(GateError, match=r"table_row_count_to_be_between \(min_value 2\): found 0"):
        validate(tmp_path, bad(6), settings)


def test_the_whole_report_is_the_same_bytes_twice(tmp_path: Path, settings: Params) -> None:
    rows = [*GOOD, *bad(1)]
    folders = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        out = validate(tmp_path / name, rows, settings)
        folders.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert folders[0] == folders[1]
    assert any(path.suffix == ".html" for path in folders[0])


def test_a_missing_manifest_names_the_stage_to_run(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(GraftError, match="Run `dvc repro dataset`"):
        validate_dataset(tmp_path / "manifest.parquet", tmp_path / "out", settings.validation)


def test_names_from_anywhere_are_escaped_in_the_pages(tmp_path: Path, settings: Params) -> None:
    hostile = bad(1)[0] | {"reason": "<script>alert(1)</script>"}
    out = validate(tmp_path, [*GOOD, hostile], settings)
    pages = "".join(page.read_text() for page in (out / "docs").rglob("*.html"))
    assert "<script>alert(1)" not in pages
    assert "alert(1)" in pages
