import csv
import html
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


def bad(
    count: int,
    label: str = "a",
    kind: QuarantineKind = QuarantineKind.UNKNOWN_FORMAT,
    reason: str = "not an image",
    suffix: str = ".txt",
) -> Rows:
    """Return manifest rows of files that cannot be used."""
    verdict = dict.fromkeys(SCHEMA.names) | {"label": label, "bytes": 3, "kind": kind, "reason": reason}
    return [verdict | {"path": f"{label}/bad{n}{suffix}", "sha256": f"{label}{kind}{n}"} for n in range(count)]


def other_files(count: int, suffix: str, label: str = "a") -> Rows:
    """Return manifest rows of files that are no pictures."""
    return [
        row | {"sha256": None}
        for row in bad(count, label, QuarantineKind.OTHER_FILE, "not an image by name or content", suffix)
    ]


def empty_folder(label: str) -> Rows:
    """Return the row of a class folder without files."""
    [row] = bad(1, label, QuarantineKind.EMPTY_FOLDER, "the folder holds no files")
    return [row | {"path": f"{label}/", "sha256": None, "bytes": None}]


def validate(folder: Path, rows: Rows, settings: Params, **changed: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "manifest.parquet")
    validate_dataset(
        folder, folder / "manifest.parquet", folder / "out", settings.validation.model_copy(update=changed)
    )
    return folder / "out"


def results(out: Path) -> Rows:
    rows: Rows = json.loads((out / "results.json").read_text())
    return rows


def read_pages(out: Path) -> str:
    return "".join(page.read_text() for page in sorted((out / "docs").rglob("*.html")))


def without(rows: Rows, split: str) -> Rows:
    """Return the rows with that split of class b handed to another."""
    other = "val" if split == "train" else "train"
    return [row | {"split": other} if (row["label"], row["split"]) == ("b", split) else row for row in rows]


GOOD = good("a", 12) + good("b", 12)
CHANGED = (GOOD[1] | {"path": GOOD[0]["path"]}, GOOD[1] | {"split": "holdout"})
EXPECTATIONS = {
    "unusable": "column_values_to_be_null (column set_aside, mostly 0.95)",
    "path": "column_values_to_be_unique (column path)",
    "split": "column_values_to_be_in_set (column split, value_set ['train', 'val', 'test'])",
    "classes": "table_row_count_to_be_between (min_value 2)",
    "images": "column_values_to_be_between (column images, min_value 6.0)",
    "train": "column_values_to_be_between (column train, min_value 1.0)",
    "val": "column_values_to_be_between (column val, min_value 1.0)",
    "test": "column_values_to_be_between (column test, min_value 1.0)",
}
FAILING = {
    "unusable": (
        GOOD + bad(3),
        (
            "3 of 27 pictures cannot be used, the share may be at most 0.05: "
            "unknown format (3), such as a/bad0.txt: not an image"
        ),
    ),
    "path": (
        [GOOD[0], CHANGED[0], *GOOD[2:]],
        f"{EXPECTATIONS['path']}: found 2 of 24: ['a/0.png', 'a/0.png']",
    ),
    "split": ([GOOD[0], CHANGED[1], *GOOD[2:]], f"{EXPECTATIONS['split']}: found 1 of 24: ['holdout']"),
    "classes": (good("a", 12), "the dataset has 1 class ('a'), needs 2"),
    "images": (
        GOOD + good("triangle", 6)[3:] + good("$x <y>", 6)[1:],
        "class '$x <y>' has 5 usable images, needs 6; class 'triangle' has 3 usable images, needs 6",
    ),
    "train": (without(GOOD, "train"), "class 'b' has no train images"),
    "val": (without(GOOD, "val"), "class 'b' has no val images"),
    "test": (without(GOOD, "test"), "class 'b' has no test images"),
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
    assert table.to_pylist() == [{name: row.get(name) for name in table.schema.names} for row in GOOD]


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
    assert [(result["expectation"], result["message"]) for result in failed] == [(EXPECTATIONS[name], failure)]
    assert [result["severity"] for result in failed] == ["critical"]
    if not failure.startswith("column_values"):
        assert html.escape(failure) in read_pages(out)


def test_every_blocking_expectation_has_its_case_above(good_report: Path) -> None:
    blocking = [result["expectation"] for result in results(good_report) if result["severity"] == "critical"]
    assert blocking == list(EXPECTATIONS.values())
    assert FAILING.keys() == EXPECTATIONS.keys()


def test_all_failures_are_named_at_once(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(GateError) as caught:
        validate(tmp_path, without(good("a", 12) + good("b", 12), "val") + bad(3), settings)
    assert "3 of 27 pictures cannot be used" in str(caught.value)
    assert "class 'b' has no val images" in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "changed", "message"),
    [
        (
            good("a", 24) + good("b", 6),
            {"max_class_ratio": 3},
            "class 'a' has 24 images, 4 times the 6 of class 'b', more than 3 times",
        ),
        (
            [*GOOD, GOOD[0] | {"path": "b/same.png", "label": "b"}],
            {"max_unusable_fraction": 0.2},
            "2 files have the same content as another, such as a/0.png and b/same.png",
        ),
    ],
    ids=["imbalance", "one image of two classes"],
)
def test_a_warning_is_reported_and_shown_but_does_not_stop_the_run(
    tmp_path: Path,
    settings: Params,
    rows: Rows,
    changed: dict[str, float],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = validate(tmp_path, rows, settings, **changed)
    failed = [result for result in results(out) if not result["success"]]
    assert [result["severity"] for result in failed] == ["warning"]
    assert failed[0]["message"] == message
    assert message in html.unescape(read_pages(out))
    assert json.loads((out / "summary.json").read_text())["warnings"][0] == message
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
        with pytest.raises(GateError, match="pictures cannot be used"):
            validate(tmp_path, rows, settings, max_unusable_fraction=limit)


def test_copies_are_set_aside_but_do_not_count_as_unusable(tmp_path: Path, settings: Params) -> None:
    copies = [row | {"path": f"a/copy{n}.png"} for n, row in enumerate(GOOD[:12])]
    out = validate(tmp_path, GOOD + copies, settings)
    lines = (out / "quarantine.csv").read_text().splitlines()
    assert lines[:2] == ["path,label,kind,reason", "a/copy0.png,a,copy,copy of a/0.png"]
    assert len(lines) == 13


def test_no_usable_image_at_all_is_a_gate_and_no_crash(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(GateError, match="class 'a' has 0 usable images, needs 6"):
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
        validate_dataset(tmp_path, tmp_path / "manifest.parquet", tmp_path / "out", settings.validation)


def test_names_from_anywhere_are_escaped_in_the_pages(tmp_path: Path, settings: Params) -> None:
    hostile = bad(1)[0] | {"reason": "<script>alert(1)</script>"}
    out = validate(tmp_path, [*GOOD, hostile], settings)
    pages = read_pages(out)
    assert "<script>alert(1)" not in pages
    assert "alert(1)" in pages


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            bad(1, "bird", QuarantineKind.DAMAGED, "damaged: cut") + bad(2, "bird", suffix=".heic"),
            "class 'bird' has 0 usable images, needs 6 (set aside: unknown format (2), such as bird/bad0.heic: "
            "not an image; damaged (1), such as bird/bad0.txt: damaged: cut)",
            id="only files that cannot be used",
        ),
        pytest.param(
            empty_folder("fish"),
            "class 'fish' has 0 usable images, needs 6 (the folder holds no files)",
            id="empty folder",
        ),
        pytest.param(
            other_files(2, ".txt", "notes"),
            "class 'notes' has 0 usable images, needs 6 (set aside: other file (2), such as notes/bad0.txt: "
            "not an image by name or content)",
            id="only other files",
        ),
        pytest.param(
            good("cut", 6)[1:] + bad(1, "cut", suffix=".png"),
            "class 'cut' has 5 usable images, needs 6 (set aside: unknown format (1), such as cut/bad0.png: "
            "not an image)",
            id="too few after some were set aside",
        ),
    ],
)
def test_a_class_that_lost_its_images_stops_the_run_by_name_with_the_reasons(
    tmp_path: Path, settings: Params, rows: Rows, message: str
) -> None:
    with pytest.raises(GateError) as caught:
        validate(tmp_path, good("a", 60) + good("b", 60) + rows, settings)
    index = tmp_path / "out" / "docs" / "index.html"
    assert str(caught.value) == f"the dataset is not fit to train on: {message}. See {index}."


def test_other_files_are_ignored_and_counted_by_suffix(
    tmp_path: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    others = other_files(2, ".txt") + other_files(78, ".XML") + other_files(1, "\r")
    out = validate(tmp_path, GOOD + others, settings, max_unusable_fraction=0.0)
    sentence = "81 other files ignored: .xml (78), .txt (2), no suffix (1)"
    assert capsys.readouterr().err == (
        f"validation: 24 images accepted, 0 set aside (quarantine.csv)\nvalidation: {sentence}\n"
    )
    assert json.loads((out / "summary.json").read_text())["warnings"] == [sentence]
    with (out / "quarantine.csv").open(newline="", encoding="utf-8") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [row["path"] for row in others]
    assert all(result["success"] for result in results(out))


def test_files_that_are_set_aside_are_printed_by_kind_with_one_example_each(
    tmp_path: Path, settings: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = bad(2, "b", QuarantineKind.DAMAGED, "damaged: cut\nin two")
    out = validate(tmp_path, good("a", 90) + good("b", 90) + bad(1) + damaged, settings)
    assert capsys.readouterr().err.splitlines() == [
        "validation: 180 images accepted, 3 set aside (quarantine.csv)",
        "validation: set aside damaged (2), such as b/bad0.txt: damaged: cut\\nin two",
        "validation: set aside unknown format (1), such as a/bad0.txt: not an image",
    ]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["warnings"] == ["3 set aside: damaged (2), unknown format (1)"]


def test_a_dataset_without_faults_has_no_warnings(good_report: Path) -> None:
    assert json.loads((good_report / "summary.json").read_text())["warnings"] == []
