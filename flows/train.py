"""The flow from images to a tested classifier: one Prefect task for each stage of dvc.yaml."""

from pathlib import Path
from typing import Any

from prefect import Task, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import comparison, dvc, markdown, pipeline, report, workspace
from flows.data import layout
from flows.dvc import Outcome, StageError
from flows.observer import observer
from flows.progress import ProgressArtifact
from tasks.common import params

STATE_NAMES = {"ran": "Completed", "restored": "Restored", "up to date": "Up to date"}


@flow(name="train")
def train() -> list[Outcome]:
    """Bring every stage up to date and return how each ended."""
    root = workspace.find(Path.cwd())
    source = params.load(root / "params.yaml").dataset.source
    with workspace.lock(root, _report_wait):
        layout.check_names(root, source)
        outcomes: list[Outcome] = []
        try:
            stale, renewed = dvc.stale(root), set[str]()
            for stage in pipeline.read(root):
                idle = stage.name not in stale and renewed.isdisjoint(stage.upstream)
                if idle and stage.is_data:
                    continue
                outcome = bring_up_to_date(root, stage.name, idle=idle).result()
                outcomes.append(outcome)
                if outcome.how != "up to date":
                    renewed.add(stage.name)
        except Exception:
            _publish(root, outcomes)
            raise
        _publish(root, outcomes)
        _publish_report(root)
    return outcomes


def _report_wait(text: str) -> None:
    observer.get().on_wait(text)
    get_run_logger().warning(text)


def _publish(root: Path, outcomes: list[Outcome]) -> None:
    log = get_run_logger()
    for warning in report.warnings(root, {outcome.stage for outcome in outcomes}):
        log.warning(warning)
    create_table_artifact(report.table(root, outcomes), key="train", description=report.description(root, outcomes))


def _publish_report(root: Path) -> None:
    """Compare the run with the last committed one and publish the report as Markdown, if there are results."""
    verdict = comparison.since_last_commit(root)
    if verdict is not None:
        get_run_logger().info("against the last commit: %s", verdict)
        observer.get().on_comparison(verdict)
    if (root / report.METRICS).is_file():
        create_markdown_artifact(markdown.document(root, verdict), key="report", description="The results of the run.")


def may_succeed_later(_task: Task[..., Any], _run: object, state: State[Any]) -> bool:
    """Tell whether a task failed for a reason that may be temporary, so that Prefect tries again."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageError) and error.temporary


@task(
    task_run_name="{stage}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[2, 8, 20],
    retry_condition_fn=may_succeed_later,
)
def bring_up_to_date(root: Path, stage: str, *, idle: bool) -> State[Outcome]:
    """Bring one stage up to date; `idle` means that DVC has already said that there is nothing to do."""
    display, log, progress = observer.get(), get_run_logger(), ProgressArtifact(stage)
    display.on_start(stage)

    def on_line(line: str) -> None:
        display.on_line(stage, line)
        log.info(line)
        progress.update(line)

    try:
        outcome = Outcome(stage, "up to date", 0.0) if idle else dvc.reproduce(root, stage, on_line)
    except BaseException:
        display.on_failure(stage)
        raise
    display.on_end(outcome)
    return Completed(name=STATE_NAMES[outcome.how], message=f"{stage}: {outcome.how}", data=outcome)
