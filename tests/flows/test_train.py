import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas import TaskRun
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.logging.handlers import APILogHandler

from flows import train as module
from flows.stage import StageError
from tasks.common.errors import ParamsError
from tests.conftest import call

ROOT = Path(__file__).parents[2]
STAGES = ["sample", "dataset", "validation", "backbone", "features", "head", "finetuning", "export", "evaluation"]


def newest_table() -> str:
    artifact = Artifact.get("train")
    assert artifact is not None
    return str(artifact.data)


def test_a_run_brings_every_stage_up_to_date_and_the_next_starts_none(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    first = module.train()
    assert [(one.stage, one.how) for one in first] == [(stage, "ran") for stage in STAGES]
    assert '"outcome": "ran"' in newest_table()
    monkeypatch.setattr(module, "reproduce", lambda *_: pytest.fail("nothing is stale: DVC must not be started"))
    assert [(one.stage, one.how) for one in module.train()] == [(stage, "up to date") for stage in STAGES]
    assert newest_table().count('"outcome": "up to date"') == len(STAGES)


def test_the_chain_in_the_flow_is_the_chain_in_dvc_yaml(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = subprocess.run(
        [sys.executable, "-m", "dvc", "dag", "--dot"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    by_dvc = set(re.findall(r'"(\w+)" -> "(\w+)";', drawn))
    monkeypatch.chdir(workspace)
    by_flow = {(before, one.stage) for one in module.train() for before in one.upstream}
    assert by_flow == by_dvc


def test_a_stage_downstream_of_a_change_runs_and_the_rest_does_not(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    module.train()
    (workspace / "backbone.in").write_text("another\n")
    assert {one.stage for one in module.train() if one.how == "ran"} == {
        "backbone",
        "features",
        "head",
        "finetuning",
        "export",
        "evaluation",
    }


def test_a_failed_stage_fails_the_run_with_its_own_line_and_the_table_tells_what_ran(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "dataset.trouble").write_text("1 there is no more paper")
    monkeypatch.chdir(workspace)
    with pytest.raises(StageError) as caught:
        module.train()
    assert str(caught.value) == "dataset: there is no more paper"
    assert '"stage": "sample", "outcome": "ran"' in newest_table()


@pytest.mark.parametrize(("code", "tries"), [(1, 1), (75, 4)])
def test_only_a_download_that_may_succeed_later_is_tried_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, code: int, tries: int
) -> None:
    (workspace / "backbone.trouble").write_text(f"{code} the host is away")
    started: list[str] = []
    real = module.reproduce
    monkeypatch.setattr(module, "reproduce", lambda *given: (started.append(given[1]), real(*given))[1])
    monkeypatch.setattr(module, "bring_with_retries", module.bring_with_retries.with_options(retry_delay_seconds=0))
    monkeypatch.chdir(workspace)
    with pytest.raises(StageError, match="the host is away"):
        module.train()
    assert started.count("backbone") == tries


def test_wrong_params_fail_the_run_before_any_stage(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = workspace / "params.yaml"
    params.write_text(params.read_text().replace("  epochs: 60", "  epoch: 60"))
    monkeypatch.chdir(workspace)
    with pytest.raises(ParamsError, match=r"there is no key 'head\.epoch'\. Did you mean 'epochs'\?"):
        module.train()
    assert not (workspace / "calls.txt").exists()


def test_changed_data_of_the_users_own_is_taken_up_and_nothing_is_left_to_do(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "photos").mkdir()
    (workspace / "photos" / "one.txt").write_text("1")
    call(sys.executable, "-m", "dvc", "add", "-q", "photos", cwd=workspace)
    monkeypatch.chdir(workspace)
    module.train()
    (workspace / "photos" / "two.txt").write_text("2")
    assert next((one.stage, one.how) for one in module.train()) == ("photos.dvc", "ran")
    assert call(sys.executable, "-m", "dvc", "status", "--json", cwd=workspace).strip() == "{}"


def test_a_defect_of_a_stage_keeps_its_traceback(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "stage.py").write_text("{}['no such key']\n")
    monkeypatch.chdir(workspace)
    with pytest.raises(StageError) as caught:
        module.train()
    assert caught.value.trace.startswith("Traceback (most recent call last)")
    assert "KeyError: 'no such key'" in caught.value.trace


def ended_tasks(run: UUID) -> list[TaskRun]:
    """Return the tasks of a flow run, of which the server may hear a moment after the run has ended."""
    with get_client(sync_client=True) as client:
        while True:
            found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
            if len(found) == len(STAGES) and all(task.state and task.state.is_final() for task in found):
                return found


def test_a_run_logs_its_stages_output_and_its_tasks_end_in_states_that_say_what_happened(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    runs = [module.train(return_state=True).state_details.flow_run_id for _ in range(2)]
    tasks = [ended_tasks(run) for run in runs if run]
    assert [sorted((task.name, task.state_name) for task in one) for one in tasks] == [
        sorted((stage, "Completed") for stage in STAGES),
        sorted((stage, "Up to date") for stage in STAGES),
    ]
    APILogHandler().flush()
    wanted = {"logs": {"flow_run_id": {"any_": [str(runs[0])]}}}
    with get_client(sync_client=True) as client:
        logs = [line["message"] for line in client.request("POST", "/logs/filter", json=wanted).json()]
    assert [line for line in logs if line.endswith(": at work")] == [f"{stage}: at work" for stage in STAGES]


def test_how_far_a_stage_has_come_is_a_progress_artifact_of_the_run(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = workspace / "stage.py"
    lines = ["features: 1/4 images, 2/s, 1 s left", "features: 3/4 images, 2/s, 0 s left", "other: 9/9 images"]
    script.write_text(script.read_text() + f"\nif name == 'features':\n    print(*{lines}, sep='\\n')\n")
    monkeypatch.chdir(workspace)
    module.train()
    with get_client(sync_client=True) as client:
        wanted = {"artifacts": {"key": {"any_": ["features-progress"]}}}
        [found] = client.request("POST", "/artifacts/filter", json=wanted).json()
    assert (found["type"], found["data"], found["description"]) == ("progress", 75.0, "3/4 images, 2/s, 0 s left")
