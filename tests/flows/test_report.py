import json
import shutil
from pathlib import Path

import pytest

from flows import params_file, report
from flows.dvc import Outcome
from tests.conftest import ROOT
from tests.flows.conftest import write_summary_of_validation

METRICS = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "confidence": 0.95, "images": 1200}
ACCURACY = "90.0 % (95 % interval 80.0 to 95.0, 1,200 images)"


def test_the_table_has_a_row_for_each_stage_and_the_headline_sums_it_up(tmp_path: Path) -> None:
    path = tmp_path / report.METRICS
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(METRICS))
    outcomes = [Outcome("images", "up to date", 0.0), Outcome("evaluation", "ran", 1.23)]
    assert report.table(tmp_path, outcomes) == [
        {"stage": "images", "outcome": "up to date", "seconds": 0.0, "metrics": ""},
        {"stage": "evaluation", "outcome": "ran", "seconds": 1.2, "metrics": ACCURACY},
    ]
    assert report.headline(tmp_path, outcomes) == f"1 stages ran, 1 were up to date. Test accuracy {ACCURACY}."
    # The metrics of an earlier run say nothing about a run that failed before its evaluation.
    assert report.headline(tmp_path, outcomes[:1]) == "0 stages ran, 1 were up to date."


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
