"""The flow that classifies what is new in a folder or a bucket: a Prefect task that runs `graft score`."""

import json
import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows import process
from flows.dvc import TEMPORARY_FAILURE, StageError
from flows.progress import ProgressArtifact
from flows.train import may_succeed_later
from tasks.common.text import count, printable

COMMAND = "graft score"
PREFIX = f"{COMMAND}: error: "


@flow(name="score")
def score(
    model: str = "artifacts/export/model.onnx",
    images: str = "data/inbox",
    results: str = "scores",
    uncertain_below: float = 0.8,
) -> dict[str, Any]:
    """Classify the new images of a folder or a bucket, add them to the results, and return the numbers of images.

    Args:
        model: exported model.
        images: folder, or an address such as s3://bucket/folder.
        results: folder of the results.
        uncertain_below: probability below which an image is listed for review.

    Paths are relative to the folder that the flow runs in.

    Raises:
        StageError: The model, the images or the results cannot be used.
    """
    summary: dict[str, Any] = score_new_images(Path.cwd(), model, images, results, uncertain_below)
    create_table_artifact(_table(summary), key="score", description=_description(summary, results))
    return summary


@task(
    task_run_name="score",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_condition_fn=may_succeed_later,
)
def score_new_images(root: Path, model: str, images: str, results: str, uncertain_below: float) -> dict[str, Any]:
    """Run `graft score` in the folder `root`, in a process group of its own, and return its summary."""
    log, progress = get_run_logger(), ProgressArtifact(COMMAND)

    def on_line(line: str) -> None:
        log.info(line)
        progress.update(line)

    options = [f"--model={model}", f"--results={results}", f"--uncertain-below={uncertain_below}"]
    command = [sys.executable, "-m", "graft", "score", *options, "--", images]
    code, lines = process.run(command, root, on_line)
    if code != 0:
        errors = [line.removeprefix(PREFIX) for line in lines if line.startswith(PREFIX)]
        text = errors[-1] if errors else f"{COMMAND} ended with exit code {code}: {lines[-1] if lines else 'no output'}"
        raise StageError(text, temporary=code == TEMPORARY_FAILURE, trace="" if errors else "\n".join(lines))
    return dict(json.loads((root / results / "summary.json").read_text(encoding="utf-8")))


def _table(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each number of images, then one for each class."""
    numbers = ("images", "scored_before", "new", "unknown", "uncertain", "unreadable", "for_review")
    rows = [{"number of": name.replace("_", " "), "images": summary[name]} for name in numbers]
    return rows + [
        {"number of": f"new, class '{printable(name)}'", "images": number}
        for name, number in summary["classes"].items()
    ]


def _description(summary: dict[str, Any], results: str) -> str:
    listed = f"{count(summary['for_review'], 'image')} for review in {printable(results)}/review.csv."
    if not summary["new"]:
        return f"Nothing new in {printable(summary['location'])}. {listed}"
    return f"{count(summary['new'], 'new image')} in {printable(summary['location'])}. {listed}"


if __name__ == "__main__":
    score()
