import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.common.errors import GraftError
from tasks.evaluation.learning_curve import Gain, LearningCurve, Point
from tasks.evaluation.report.training import MAX_CANDIDATES, TrainingPart, describe_gains, describe_training
from tests.tasks.evaluation.projects import inputs_of

CANDIDATES = (
    "rank,chosen,kind,taps,strength,hidden,dropout,class_weight,members,accuracy,standard_error,macro_f1,log_loss,"
    "temperature"
)
HISTORY = "epoch,train_loss,train_accuracy,val_loss,val_accuracy"
MIXTURES = "mixture,log_loss,accuracy,temperature,difference,standard_error"
TUNING = {"mixture": 0.4, "head_val_loss": 0.35, "val_loss": 0.27}
POINTS = [
    Point(10.0, 0.3, 0.25, 0.35, 8, extrapolated=False),
    Point(40.0, 0.2, 0.15, 0.25, 1, extrapolated=False),
    Point(80.0, 0.17, 0.1, 0.2, 0, extrapolated=True),
]
CURVE = LearningCurve(POINTS, [Gain(40.0, 0.03, 0.01, 0.05)])


def candidate(rank: int, kind: str, chosen: str = "", taps: str = "a+b") -> str:
    return f"{rank},{chosen},{kind},{taps},0.1,,,none,,0.9,0.01,0.89,0.3,1.0"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write what the stages `head` and `finetuning` write without a network and without fine-tuning."""
    for folder in ("head", "finetuning"):
        (tmp_path / folder).mkdir()
    (tmp_path / "head" / "choice.json").write_text(json.dumps({"reason": "LDA won with 90.0% +- 1.0% right."}))
    (tmp_path / "finetuning" / "metrics.json").write_text("{}")
    rows = [candidate(1, "LDA"), candidate(2, "LDA", "yes"), candidate(3, "ridge")]
    write_lines(tmp_path / "head" / "candidates.csv", CANDIDATES, rows)
    depths = ["a,0.5,32,0.8,0.02,1", "a+b,1.0,64,0.9,0.01,", "choice: a+b,1.0,64,0.9,0.01,"]
    write_lines(tmp_path / "head" / "depth.csv", "tap,depth,width,accuracy,standard_error,lasso_rank", depths)
    for folder in ("head", "finetuning"):
        write_lines(tmp_path / folder / "history.csv", HISTORY, [])
    return tmp_path


def write_lines(file: Path, *groups: str | Sequence[str]) -> None:
    lines = [line for group in groups for line in ([group] if isinstance(group, str) else group)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def describe(project: Path, curve: LearningCurve | None = None) -> TrainingPart:
    return describe_training(inputs_of(project), curve, 0.95)


def test_the_choice_fine_tuning_and_more_images_are_said_in_sentences(project: Path) -> None:
    part = describe(project, CURVE)
    assert part.sentences == [
        "LDA won with 90.0% ± 1.0% right.",
        "Fine-tuning was off: the pretrained network is unchanged.",
        "Twice as many images would bring about 3.0 points of accuracy (1.0 to 5.0).",
    ]


def test_the_best_candidate_of_each_kind_and_the_chosen_one_are_in_sight(project: Path) -> None:
    part = describe(project)
    assert [(row["rank"], row["kind"]) for row in part.kinds] == [("1", "LDA"), ("2", "LDA"), ("3", "ridge")]
    rows = [candidate(rank, "LDA", "yes" if rank == 1 else "") for rank in range(1, MAX_CANDIDATES + 6)]
    write_lines(project / "head" / "candidates.csv", CANDIDATES, rows)
    part = describe(project)
    assert [row["rank"] for row in part.kinds] == ["1"]
    assert (len(part.candidates), part.more) == (MAX_CANDIDATES, 5)


def test_there_is_a_chart_of_each_table_that_has_rows(project: Path) -> None:
    assert [chart.title for chart in describe(project).charts] == ["Accuracy by depth"]
    write_lines(project / "head" / "history.csv", HISTORY, ["1,0.5,,0.6,", "2,0.4,,,"])
    write_lines(project / "finetuning" / "history.csv", HISTORY, ["0,,,0.6,0.9", "1,0.5,0.9,0.5,0.95"])
    write_lines(project / "finetuning" / "mixtures.csv", MIXTURES, ["0.0,0.35,0.9,1,0,0", "0.4,0.27,0.9,1,-0.08,0.01"])
    (project / "finetuning" / "metrics.json").write_text(json.dumps(TUNING))
    charts = describe(project, CURVE).charts
    assert [(chart.title, chart.text.split(",")[0]) for chart in charts] == [
        ("Accuracy by depth", "Features of layers of the pretrained network"),
        ("Accuracy by number of images", "A quick classifier on the same features"),
        ("Training of the head", "Loss after each epoch."),
        ("Fine-tuning", "Accuracy after each epoch."),
        (
            "Mixtures of head and fine-tuned network",
            "Lower is better. The band is the standard error of the difference to the head alone",
        ),
    ]


def test_charts_are_the_same_each_time_and_say_their_figures_in_words(project: Path) -> None:
    first, second = describe(project, CURVE).charts, describe(project, CURVE).charts
    assert first == second
    assert 'aria-label="Accuracy by depth: a: 80.0 %; 2 layers joined: 90.0 %; choice: 2 layers joined: 90.0 %"' in (
        first[0].svg
    )
    assert 'aria-label="Accuracy by images a class: 10 images: 70.0 %; 40 images: 80.0 %; 80 images: 83.0 %"' in (
        first[1].svg
    )


def test_hostile_names_of_layers_are_text_in_the_chart(project: Path) -> None:
    header = ["tap", "depth", "width", "accuracy", "standard_error", "lasso_rank"]
    with (project / "head" / "depth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, ["<script>\x1b[31m", 1, 2, 0.9, 0.01, ""]])
    svg = describe(project).charts[0].svg
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


@pytest.mark.parametrize(
    ("tuning", "sentence"),
    [
        pytest.param({}, "Fine-tuning was off: the pretrained network is unchanged.", id="off"),
        pytest.param(
            TUNING | {"mixture": 0.0},
            "Fine-tuning was tried, and was not clearly better than the head alone, which stays.",
            id="not better",
        ),
        pytest.param(
            TUNING,
            (
                "A mixture with 40 % of the fine-tuned network is used (log loss 0.270, 0.350 without it on the "
                "validation images)."
            ),
            id="mixture",
        ),
        pytest.param(
            TUNING | {"mixture": 1.0},
            "The fine-tuned network is used alone (log loss 0.270, 0.350 without it on the validation images).",
            id="alone",
        ),
    ],
)
def test_a_sentence_says_what_became_of_fine_tuning(project: Path, tuning: dict[str, Any], sentence: str) -> None:
    (project / "finetuning" / "metrics.json").write_text(json.dumps(tuning))
    assert describe(project).sentences[1] == sentence


@pytest.mark.parametrize(
    ("curve", "sentences"),
    [
        pytest.param(None, ["There are too few images to say whether more would help."], id="no curve"),
        pytest.param(
            CURVE._replace(points=[Point(40.0, 0, 0, 0.1, 1, extrapolated=False)]),
            ["The test images cannot say whether more images would help: a quick classifier has all of them right."],
            id="no mistakes",
        ),
        pytest.param(
            CURVE._replace(gains=[Gain(50.0, 0.004, 0.001, 0.009), Gain(40.0, 0.0001, 0, 0.0004)]),
            [
                "50 more images a class would bring about 0.40 points of accuracy (0.10 to 0.90).",
                "Twice as many images would hardly change the accuracy (at most 0.04 points).",
            ],
            id="two gains",
        ),
    ],
)
def test_the_worth_of_more_images_is_said_only_where_it_is_known(
    curve: LearningCurve | None, sentences: list[str]
) -> None:
    assert describe_gains(curve) == sentences


def test_a_missing_input_names_the_stage_to_run(project: Path) -> None:
    (project / "head" / "choice.json").unlink()
    with pytest.raises(GraftError, match=r"choice\.json is missing: .* Run `dvc repro head`\."):
        describe(project)
