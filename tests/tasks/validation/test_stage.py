import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from selenium.webdriver import Chrome

from tasks.common.errors import GateError, GraftError, QuarantineKind
from tasks.common.params import Checks, Params
from tasks.tables.manifest import SCHEMA, Row
from tasks.validation.stage import validate_dataset
from tests.tasks.pages.browsing import NARROW, scrolls_sideways, visit
from tests.tasks.validation.manifests import image, images, to_table, unusable

OUTPUTS = ["accepted.parquet", "docs", "quarantine.csv", "report.html", "results.json", "summary.json"]
STATE = ["changes.json", "previous.parquet"]
GOOD = images("a", 12) + images("b", 12)
HOSTILE = "<script>alert(1)</script>"
FAULTY = [
    *images("a", 60),
    *images("b", 60),
    image("a/dark.jpg", highlights=0.1),
    unusable(f"a/{HOSTILE}.jpg".replace("</", "<"), QuarantineKind.DAMAGED, HOSTILE),
    unusable("a/1.xml", QuarantineKind.OTHER_FILE, "no image"),
]


def validate(folder: Path, rows: list[Row], settings: Params) -> Path:
    pq.write_table(to_table(rows), folder / "manifest.parquet")
    validate_dataset(folder, folder / "manifest.parquet", folder / "out", settings.validation, settings.dataset)
    return folder / "out"


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Validate a dataset without faults."""
    return validate(tmp_path_factory.mktemp("good"), GOOD, settings)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, settings: Params) -> Path:
    """Validate a dataset with faults that do not stop the run."""
    return validate(tmp_path_factory.mktemp("faulty"), FAULTY, settings)


def test_a_good_dataset_passes_every_check_with_all_outputs(good: Path) -> None:
    assert sorted(path.name for path in good.iterdir()) == sorted(OUTPUTS + STATE)
    results = read_json(good / "results.json")
    assert [result["check"] for result in results] == list(Checks.model_fields)
    assert all(result["success"] and not result["findings"] for result in results)
    assert (good / "docs" / "index.html").exists()
    assert (good / "quarantine.csv").read_text() == "path,label,kind,reason\n"
    empty: dict[str, list[str]] = {"errors": [], "warnings": [], "notes": []}
    assert read_json(good / "summary.json") == {"images": 24, "median_side": 480.0} | empty


def test_the_accepted_images_are_the_rows_of_the_manifest_without_attributes_kind_and_reason(good: Path) -> None:
    table = pq.read_table(good / "accepted.parquet")
    assert table.schema.names == [name for name in SCHEMA.names if name not in {"attributes", "kind", "reason"}]
    assert table.to_pylist() == to_table(GOOD).select(table.schema.names).to_pylist()


def test_results_and_summary_give_each_finding_with_its_check(faulty: Path) -> None:
    results = {result["check"]: result for result in read_json(faulty / "results.json")}
    assert results["dark"] == {
        "check": "dark",
        "severity": "warning",
        "success": False,
        "judged": "images",
        "broken": 1,
        "rows": len(FAULTY),
        "expectation": "No picture is nearly black.",
        "findings": [
            {
                "severity": "warning",
                "message": "1 of 121 pictures is dark: a/dark.jpg",
                "advice": "Check that they show something; remove them if not.",
                "files": 1,
                "classes": [],
            }
        ],
    }
    # Less than the share that stops the run is a warning of a check that holds.
    assert results["usable"]["success"]
    assert [finding["severity"] for finding in results["usable"]["findings"]] == ["warning", "note"]
    summary = read_json(faulty / "summary.json")
    assert summary["warnings"][1:] == ["1 of 121 pictures is dark: a/dark.jpg"]
    assert summary["notes"] == ["1 other file ignored: .xml (1)"]


def test_names_from_anywhere_are_escaped_in_the_pages(faulty: Path) -> None:
    for page in [*faulty.rglob("*.html")]:
        assert "<script>alert(1)" not in page.read_text(encoding="utf-8")
    with (faulty / "quarantine.csv").open(newline="", encoding="utf-8") as file:
        assert [row["reason"] for row in csv.DictReader(file)] == [HOSTILE, "no image"]


def test_a_blocking_check_stops_the_run_with_all_outputs_written_and_the_last_good_run_kept(
    tmp_path: Path, settings: Params, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(good / "previous.parquet", out)
    rows = [*images("a", 12), *images("triangle", 3)]
    rows += [unusable(f"a/{number}.jpg", QuarantineKind.EMPTY, "the file is empty") for number in (90, 91)]
    with pytest.raises(GateError) as caught:
        validate(tmp_path, rows, settings)
    assert str(caught.value) == (
        "the dataset is not fit to train on: class 'triangle' has 3 usable images, needs 6; 2 of 17 pictures cannot be "
        "used, the share may be at most 0.05: empty (2), such as a/90.jpg: the file is empty. Add images of the class, "
        "or leave the class out. Repair or remove these files, or raise validation.max_unusable_fraction. "
        f"See {out / 'report.html'}."
    )
    assert sorted(path.name for path in out.iterdir()) == sorted(OUTPUTS + STATE)
    assert (out / "previous.parquet").read_bytes() == (good / "previous.parquet").read_bytes()
    assert read_json(out / "changes.json")["warnings"] == [
        "12 of 24 images of the last run are gone",
        "class 'b' is gone since the last run",
    ]
    assert capsys.readouterr().err.splitlines() == [
        "validation: since the last run: 3 new images, 12 gone, class 'triangle' is new, class 'b' is gone",
        "validation: warning: 12 of 24 images of the last run are gone",
        "validation: warning: class 'b' is gone since the last run",
        "validation: 15 images accepted, 2 set aside, 0 left out (quarantine.csv)",
        "  blocking  class 'triangle' has 3 usable images, needs 6",
        (
            "  blocking  2 of 17 pictures cannot be used, the share may be at most 0.05: empty (2), such as a/90.jpg: "
            "the file is empty"
        ),
    ]


def test_the_outputs_are_the_same_bytes_whatever_ran_before(
    tmp_path: Path, settings: Params, good: Path, faulty: Path
) -> None:
    (tmp_path / "out").mkdir()
    shutil.copy(good / "previous.parquet", tmp_path / "out")
    out = validate(tmp_path, FAULTY, settings)
    assert read_json(out / "changes.json")["lines"] == ["97 new images"]
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file() and path.name not in STATE]
    assert len(files) > len(OUTPUTS)
    assert {file: (out / file).read_bytes() for file in files} == {file: (faulty / file).read_bytes() for file in files}


def test_a_missing_manifest_names_the_stage_to_run(tmp_path: Path, settings: Params) -> None:
    with pytest.raises(GraftError, match="Run `dvc repro dataset`"):
        validate_dataset(tmp_path, tmp_path / "m.parquet", tmp_path / "out", settings.validation, settings.dataset)


def test_data_docs_are_styled_and_usable_without_a_network(faulty: Path, browser: Chrome) -> None:
    site = faulty / "docs"
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 7
    folders = {path.parent.relative_to(site).as_posix() for path in (site / "static").rglob("*") if path.is_file()}
    assert folders == {"static/images", "static/libraries"}
    for page in pages:
        seen = visit(browser, page, NARROW)
        assert seen.messages == []
        assert [address for address in seen.requests if not address.startswith(site.as_uri())] == []
        assert seen.broken_images == []
        assert not scrolls_sideways(browser)
        # Bootstrap's style sheet sets the colour, and its tables are made by a script.
        assert browser.execute_script("return getComputedStyle(document.body).color") == "rgb(33, 37, 41)"
        assert browser.execute_script("return getComputedStyle(document.querySelector('footer')).display") == "none"
        assert "prefers-color-scheme" not in page.read_text(encoding="utf-8")
        assert browser.execute_script("return document.querySelector('.bootstrap-table') !== null")
