import logging
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas import TaskRun
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.logging.handlers import APILogHandler

from flows import comparison, dvc, train
from flows.dvc import Outcome, StageError
from tasks.common.errors import ParamsError
from tests.flows.conftest import write_evaluation

pytestmark = pytest.mark.usefixtures("prefect_server")

STAGES = ["images", "backbone", "features", "evaluation"]


class Run(NamedTuple):
    """A flow run: its id, how its stages ended, and its table."""

    id: UUID
    outcomes: list[tuple[str, str]]
    table: str


def newest_table() -> str:
    artifact = Artifact.get("train")
    assert artifact is not None
    assert not isinstance(artifact, Coroutine)  # the method returns one only inside an event loop
    return str(artifact.data)


def stages_and_hows(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    return [(outcome.stage, outcome.how) for outcome in outcomes]


@pytest.fixture(scope="module")
def two_runs(prefect_server: str, workspace_template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Run the flow twice in a fresh workspace."""
    del prefect_server
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shutil.copytree(workspace_template, tmp_path_factory.mktemp("runs") / "workspace"))
        runs = []
        for _ in range(2):
            state = train.train(return_state=True)
            run_id = state.state_details.flow_run_id
            assert run_id is not None
            runs.append(Run(run_id, stages_and_hows(state.result()), newest_table()))
            # The second run has nothing to do.
            patch.setattr(dvc, "reproduce", lambda *_: pytest.fail("nothing is stale: no stage must be reproduced"))
    return runs


def test_a_run_brings_every_stage_up_to_date_and_the_next_starts_none(two_runs: list[Run]) -> None:
    assert [run.outcomes for run in two_runs] == [
        [(stage, "ran") for stage in STAGES],
        [(stage, "up to date") for stage in STAGES],
    ]
    assert two_runs[0].table.count('"outcome": "ran"') == len(STAGES)
    assert two_runs[1].table.count('"outcome": "up to date"') == len(STAGES)


def ended_tasks(run: UUID) -> list[TaskRun]:
    """Return the tasks of a flow run, which may reach the server a moment after the run has ended."""
    with get_client(sync_client=True) as client:
        while True:
            tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
            if len(tasks) == len(STAGES) and all(task.state and task.state.is_final() for task in tasks):
                return tasks


def test_the_tasks_of_a_run_end_in_states_that_say_what_happened(two_runs: list[Run]) -> None:
    states = [sorted((task.name, task.state_name) for task in ended_tasks(run.id)) for run in two_runs]
    assert states == [
        sorted((stage, "Completed") for stage in STAGES),
        sorted((stage, "Up to date") for stage in STAGES),
    ]


def test_the_output_of_the_stages_is_in_the_log_of_the_run(two_runs: list[Run]) -> None:
    APILogHandler().flush()
    query = {"logs": {"flow_run_id": {"any_": [str(two_runs[0].id)]}}}
    with get_client(sync_client=True) as client:
        logs = [line["message"] for line in client.request("POST", "/logs/filter", json=query).json()]
    assert [line for line in logs if line.endswith(": at work")] == [f"{stage}: at work" for stage in STAGES]


def test_the_progress_of_a_stage_is_an_artifact_of_the_run(two_runs: list[Run]) -> None:
    query = {"artifacts": {"key": {"any_": ["features-progress"]}, "flow_run_id": {"any_": [str(two_runs[0].id)]}}}
    with get_client(sync_client=True) as client:
        [artifact] = client.request("POST", "/artifacts/filter", json=query).json()
    expected = ("progress", 75.0, "3/4 images, 2/s, 0 s left")
    assert (artifact["type"], artifact["data"], artifact["description"]) == expected


def test_warnings_are_logged_as_such_and_stand_in_the_artifacts_of_the_run(
    trained_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_evaluation(trained_workspace, {"circle": (1.0, 50), "square": (0.0, 1)})
    (trained_workspace / comparison.PREDICTIONS).touch()
    monkeypatch.chdir(trained_workspace)
    run_id = train.train(return_state=True).state_details.flow_run_id
    APILogHandler().flush()
    of_run = {"flow_run_id": {"any_": [str(run_id)]}}
    with get_client(sync_client=True) as client:
        query = {"logs": of_run | {"level": {"ge_": logging.WARNING}}}
        logs = client.request("POST", "/logs/filter", json=query).json()
        table_query = {"artifacts": of_run | {"key": {"any_": ["train"]}}}
        [table] = client.request("POST", "/artifacts/filter", json=table_query).json()
        report_query = {"artifacts": of_run | {"key": {"any_": ["report"]}}}
        [report] = client.request("POST", "/artifacts/filter", json=report_query).json()
    warning = "class 'square' has recall 0 over 1 test image"
    assert [(line["level"], line["message"]) for line in logs] == [(logging.WARNING, warning)]
    assert table["description"].endswith(f"macro F1 70.0 %.\n\n- warning: {warning}")
    assert report["type"] == "markdown"
    assert f"\n- {warning}\n" in report["data"]
    assert "Against the last commit: nothing to compare with: there is no commit yet." in report["data"]


def test_a_stage_downstream_of_a_change_runs_and_the_rest_does_not(
    trained_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained_workspace / "backbone.in").write_text("another\n")
    monkeypatch.chdir(trained_workspace)
    assert stages_and_hows(train.train()) == [
        ("images", "up to date"),
        ("backbone", "ran"),
        ("features", "ran"),
        ("evaluation", "ran"),
    ]


def test_changed_data_of_the_users_own_is_taken_up_and_nothing_is_left_to_do(
    trained_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained_workspace / "photos" / "2.txt").write_text("2")
    monkeypatch.chdir(trained_workspace)
    assert [pair for pair in stages_and_hows(train.train()) if pair[1] == "ran"] == [
        ("photos.dvc", "ran"),
        ("evaluation", "ran"),
    ]
    assert dvc.stale(trained_workspace) == set()


def test_a_failed_stage_fails_the_run_with_its_own_line_and_the_table_says_what_ran(
    trained_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained_workspace / "backbone.in").write_text("another\n")
    (trained_workspace / "features.failure").write_text("1 there is no more paper")
    monkeypatch.chdir(trained_workspace)
    with pytest.raises(StageError) as caught:
        train.train()
    assert str(caught.value) == "features: there is no more paper"
    assert '"stage": "backbone", "outcome": "ran"' in newest_table()
    assert (trained_workspace / "calls.txt").read_text() == "backbone\n"


@pytest.mark.parametrize(("temporary", "tries"), [(False, 1), (True, 4)], ids=["lasting failure", "temporary failure"])
def test_only_a_failure_that_may_be_temporary_is_retried(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tries: int, *, temporary: bool
) -> None:
    started: list[str] = []

    def fail(_root: Path, stage: str, _on_line: object) -> Outcome:
        started.append(stage)
        message = "the host does not answer"
        raise StageError(message, temporary=temporary)

    monkeypatch.setattr(dvc, "reproduce", fail)
    monkeypatch.setattr(train, "bring_up_to_date", train.bring_up_to_date.with_options(retry_delay_seconds=0))
    monkeypatch.chdir(workspace)
    with pytest.raises(StageError, match="the host does not answer"):
        train.train()
    assert started == ["images"] * tries


def test_wrong_params_fail_the_run_before_any_stage(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("  epochs: 60", "  epoch: 60"))
    monkeypatch.chdir(workspace)
    with pytest.raises(ParamsError, match=r"there is no key 'head\.epoch'\. Did you mean 'epochs'\?"):
        train.train()
    assert not (workspace / "calls.txt").exists()
