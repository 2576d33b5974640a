import hashlib
import json
import shutil
from pathlib import Path

import pytest

from flows import params_file, report
from flows.dvc import Outcome
from tests.conftest import ROOT
from tests.flows.conftest import write_evaluation, write_summary_of_validation

RESULT = "90.0 % (95 % interval 80.0 to 95.0, 1,200 images), macro F1 70.0 %"


def test_the_table_has_a_row_for_each_stage_and_the_headline_sums_it_up(tmp_path: Path) -> None:
    write_evaluation(tmp_path, {"circle": (1.0, 1200)})
    outcomes = [Outcome("images", "up to date", 0.0), Outcome("evaluation", "ran", 1.23)]
    assert report.table(tmp_path, outcomes) == [
        {"stage": "images", "outcome": "up to date", "seconds": 0.0, "metrics": ""},
        {"stage": "evaluation", "outcome": "ran", "seconds": 1.2, "metrics": RESULT},
    ]
    assert report.headline(tmp_path, outcomes) == f"1 stages ran, 1 were up to date. Test accuracy {RESULT}."
    # The metrics of an earlier run say nothing about a run that failed before its evaluation.
    assert report.headline(tmp_path, outcomes[:1]) == "0 stages ran, 1 were up to date."


def test_warnings_are_those_of_the_validation_and_the_classes_that_the_accuracy_hides(tmp_path: Path) -> None:
    assert report.warnings(tmp_path) == []
    classes = {"circle": (1.0, 5), "square": (0.0, 1), "star": (0.0, 40), "ring": (1.0, 4), "gone\nclass": (0.0, 0)}
    write_evaluation(tmp_path, classes)
    write_summary_of_validation(tmp_path, median_side=8, warnings=["classes are <uneven>: 900 against 12"])
    assert report.warnings(tmp_path) == [
        "classes are <uneven>: 900 against 12",
        "class 'square' has recall 0 over 1 test image",
        "class 'star' has recall 0 over 40 test images",
        "class 'ring' has only 4 test images",
        "class 'gone\\nclass' has no test images",
    ]
    outcomes = [Outcome("validation", "ran", 1.0)]
    assert report.description(tmp_path, outcomes) == (
        "1 stages ran, 0 were up to date.\n\n- warning: classes are &lt;uneven&gt;: 900 against 12"
    )


def test_the_stages_that_train_are_summed_up_in_the_table_and_give_warnings(tmp_path: Path) -> None:
    assert report.stage_headline(tmp_path, "head") is None
    (tmp_path / "artifacts" / "head").mkdir(parents=True)
    summary = {"headline": "ridge, 94.1 % ± 0.8 over 5 folds", "warnings": ["class 'a\nb' has 3 images: 3 folds"]}
    (tmp_path / "artifacts" / "head" / "summary.json").write_text(json.dumps(summary))
    outcomes = [Outcome("head", "ran", 2.0)]
    assert report.table(tmp_path, outcomes)[0]["metrics"] == "ridge, 94.1 % ± 0.8 over 5 folds"
    assert report.warnings(tmp_path) == ["class 'a\\nb' has 3 images: 3 folds"]
    assert report.warnings(tmp_path, {"evaluation"}) == []


def test_a_summary_of_an_older_version_holds_no_warnings(tmp_path: Path) -> None:
    write_summary_of_validation(tmp_path, median_side=8)
    assert report.warnings(tmp_path) == []


def test_notes_are_those_of_the_validation_and_the_changes_since_the_last_run(tmp_path: Path) -> None:
    assert report.notes(tmp_path) == []
    write_summary_of_validation(tmp_path, median_side=8, warnings=[], notes=["80 other files ignored: .xml (80)"])
    assert report.notes(tmp_path) == ["80 other files ignored: .xml (80)"]
    (tmp_path / "artifacts" / "dataset").mkdir()
    (tmp_path / "artifacts" / "dataset" / "manifest.parquet").write_bytes(b"rows")
    changes = {
        "manifest": hashlib.sha256(b"rows").hexdigest(),
        "lines": ["2 new images", "1 gone"],
        "warnings": ["many gone"],
    }
    (tmp_path / "artifacts" / "validation" / "changes.json").write_text(json.dumps(changes))
    assert report.notes(tmp_path)[1:] == ["since the last run: 2 new images; 1 gone"]
    assert report.warnings(tmp_path) == ["many gone"]
    (tmp_path / "artifacts" / "dataset" / "manifest.parquet").write_bytes(b"rows of another run")
    assert report.notes(tmp_path)[1:] == report.warnings(tmp_path) == []


def test_of_many_warnings_of_a_kind_ten_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    write_evaluation(tmp_path, {f"class {number}": (1.0, 2) for number in range(1010)} | {"lost": (0.0, 9)})
    texts = report.warnings(tmp_path)
    assert texts[0] == "class 'lost' has recall 0 over 9 test images"
    assert texts[1:11] == [f"class 'class {number}' has only 2 test images" for number in range(10)]
    assert texts[11:] == ["1,000 more about classes with fewer than 5 test images"]


@pytest.mark.parametrize(
    ("weights", "side", "noticed"),
    [("starter", 640, True), ("starter", 64, False), ("imagenet", 640, False)],
    ids=["starter on photographs", "starter on small images", "ImageNet on photographs"],
)
def test_imagenet_weights_are_advised_for_images_much_larger_than_those_of_the_starter(
    tmp_path: Path, weights: str, side: int, *, noticed: bool
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    params_file.edit(tmp_path / "params.yaml", [("backbone.weights", weights)])
    assert report.starter_notice(tmp_path) is None
    write_summary_of_validation(tmp_path, side)
    notice = report.starter_notice(tmp_path)
    assert (notice is not None) is noticed
    advice = "seen a photograph. `graft train --set backbone.weights=imagenet` downloads"
    assert notice is None or advice in notice
