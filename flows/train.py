"""The flow from images to a tested classifier: one task a stage, in the order of dvc.yaml."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import Task, flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import report, workspace
from flows.progress import Progress
from flows.stage import Outcome, StageError, reproduce, stale
from flows.watching import watcher
from tasks.common import params

STATE_NAMES = {"ran": "Completed", "restored": "Restored", "up to date": "Up to date"}


@flow(name="train")
def train() -> list[Outcome]:
    """Bring every stage up to date and return how each ended."""
    root = workspace.find(Path.cwd())
    params.load(root / "params.yaml")
    log = get_run_logger()

    def on_wait(text: str) -> None:
        watcher.get().waits(text)
        log.warning(text)

    with workspace.alone(root, on_wait):
        changed, done = stale(root), list[Outcome]()

        def bring(stage: str, *upstream: Outcome, using: Callable[..., Any] = bring_up_to_date) -> Outcome:
            idle = stage not in changed and all(outcome.how == "up to date" for outcome in upstream)
            outcome: Outcome = using(root, stage, idle=idle).result()
            done.append(outcome._replace(upstream=tuple(before.stage for before in upstream)))
            return outcome

        try:
            own_data = [bring(name) for name in sorted(changed) if name.endswith(".dvc")]
            sample = bring("sample")
            dataset = bring("dataset", sample, *own_data)
            validation = bring("validation", dataset)
            backbone = bring("backbone", using=bring_with_retries)
            features = bring("features", sample, validation, backbone)
            head = bring("head", features)
            finetuning = bring("finetuning", sample, validation, backbone, head)
            export = bring("export", sample, backbone, finetuning)
            bring("evaluation", sample, validation, export)
        except Exception:
            _publish(root, done)
            raise
        _publish(root, done)
    return done


def _publish(root: Path, done: list[Outcome]) -> None:
    create_table_artifact(report.table(root, done), key="train", description=report.headline(root, done))


@task(task_run_name="{stage}", cache_policy=NO_CACHE)
def bring_up_to_date(root: Path, stage: str, *, idle: bool) -> State[Outcome]:
    """Bring one stage up to date; `idle`: DVC has said already that there is nothing to do."""
    watch, log, progress = watcher.get(), get_run_logger(), Progress(stage)
    watch.starts(stage)

    def on_line(line: str) -> None:
        watch.says(stage, line)
        log.info(line)
        progress.says(line)

    try:
        outcome = Outcome(stage, "up to date", 0.0) if idle else reproduce(root, stage, on_line)
    except BaseException:
        watch.fails(stage)
        raise
    watch.ends(outcome)
    return Completed(name=STATE_NAMES[outcome.how], message=f"{stage}: {outcome.how}", data=outcome)


def _may_pass(_task: Task[..., Any], _run: object, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageError) and error.temporary


# Only a download fails for reasons that pass.
bring_with_retries = bring_up_to_date.with_options(
    retries=3, retry_delay_seconds=[2, 8, 20], retry_condition_fn=_may_pass
)

if __name__ == "__main__":
    train()
