import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.logging.handlers import APILogHandler
from ruamel.yaml import YAML

from flows import process
from flows import score as flow
from flows.dvc import StageError
from flows.process import Ended
from tests.conftest import ROOT
from tests.graft.models import write_colour_model

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change into a folder with a model and two images, one of which the model does not know."""
    write_colour_model(tmp_path / "model.onnx")
    (tmp_path / "inbox").mkdir()
    for name, colour in {"red": (200, 0, 0), "grey": (90, 90, 90)}.items():
        Image.new("RGB", (20, 10), colour).save(tmp_path / "inbox" / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def newest_table() -> tuple[str | None, dict[str, int]]:
    """Return the description of the newest table, and its numbers by their names."""
    artifact = Artifact.get("score")
    assert artifact is not None
    assert not isinstance(artifact, Coroutine)  # the method returns one only inside an event loop
    return artifact.description, {row["number of"]: row["images"] for row in json.loads(str(artifact.data))}


def lines_of(run: UUID | None) -> list[str]:
    """Return the lines of `graft score` in the log of a flow run."""
    APILogHandler().flush()
    query = {"logs": {"flow_run_id": {"any_": [str(run)]}}, "sort": "TIMESTAMP_ASC"}
    with get_client(sync_client=True) as client:
        logs = [line["message"] for line in client.request("POST", "/logs/filter", json=query).json()]
    return [line for line in logs if line.startswith("graft score: ") and " images in " not in line]


def test_a_run_scores_what_is_new_and_the_next_says_that_nothing_is(folder: Path) -> None:
    states = [flow.score("model.onnx", "inbox", return_state=True) for _ in range(2)]
    assert [state.result() for state in states] == [
        numbers(scored_before=0, new=2, unknown=1, classes={"red": 1}),
        numbers(scored_before=2, new=0, unknown=0, classes={}),
    ]
    assert [lines_of(state.state_details.flow_run_id) for state in states] == [
        [
            "graft score: 2 new images of 2, 1 unknown to the model",
            "graft score: for review: 1 image, scores/review.csv",
        ],
        [
            "graft score: nothing new: 2 images of inbox scored before",
            "graft score: for review: 1 image, scores/review.csv",
        ],
    ]
    description, table = newest_table()
    assert description == "Nothing new in inbox. 1 image for review in scores/review.csv."
    assert table == {
        "images": 2,
        "scored before": 2,
        "new": 0,
        "unknown": 0,
        "uncertain": 0,
        "unreadable": 0,
        "for review": 1,
    }
    assert len(list((folder / "scores" / "predictions").iterdir())) == 1


def numbers(**others: Any) -> dict[str, Any]:
    return {"location": "inbox", "images": 2, "uncertain": 0, "unreadable": 0, "for_review": 1} | others


@pytest.mark.usefixtures("folder")
def test_a_run_that_cannot_start_fails_with_the_line_of_the_command() -> None:
    with pytest.raises(StageError) as caught:
        flow.score("model.onnx", "nowhere")
    assert str(caught.value) == (
        "nowhere does not exist. Expected a folder of images, or an address, s3://bucket/folder."
    )


@pytest.mark.parametrize(("code", "tries"), [(75, 4), (1, 1)], ids=["temporary", "lasting"])
def test_only_a_failure_that_may_be_temporary_is_retried(
    monkeypatch: pytest.MonkeyPatch, code: int, tries: int
) -> None:
    commands = []

    def fail(command: list[str], *_: object) -> Ended:
        commands.append(command)
        return Ended(code, ["graft score: error: s3://photos cannot be listed."])

    monkeypatch.setattr(process, "run", fail)
    monkeypatch.setattr(flow, "score_new_images", flow.score_new_images.with_options(retry_delay_seconds=0))
    with pytest.raises(StageError, match=r"^s3://photos cannot be listed\.$"):
        flow.score("model.onnx", "-photos")
    assert len(commands) == tries
    assert commands[0][-2:] == ["--", "-photos"]


def test_the_deployment_gives_parameters_that_the_flow_has() -> None:
    deployments = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")["deployments"]
    [deployment] = [entry for entry in deployments if entry["entrypoint"] == "flows/score.py:score"]
    assert set(deployment["parameters"]) == set(flow.score.parameters.properties)
    flow.score.validate_parameters(deployment["parameters"])
