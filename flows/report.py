"""The results of a run, read from the files that its stages wrote."""

import json
from pathlib import Path
from typing import Any

from flows.dvc import Outcome
from tasks.common import params

MODEL = Path("artifacts/export/model.onnx")
VALIDATION_REPORT = Path("artifacts/validation/docs/index.html")
VALIDATION_SUMMARY = Path("artifacts/validation/summary.json")
METRICS = Path("artifacts/evaluation/metrics.json")
EVALUATION = METRICS.parent.name

STARTER_SIDE = 64
STARTER_LIMIT = 2 * STARTER_SIDE


def accuracy(root: Path) -> str | None:
    """Return the test accuracy with its interval as text, or None before the first evaluation."""
    if not (root / METRICS).is_file():
        return None
    metrics = json.loads((root / METRICS).read_text(encoding="utf-8"))
    low, high = metrics["accuracy_low"] * 100, metrics["accuracy_high"] * 100
    interval = f"{metrics['confidence'] * 100:g} % interval {low:.1f} to {high:.1f}"
    return f"{metrics['accuracy'] * 100:.1f} % ({interval}, {metrics['images']:,} images)"


def starter_notice(root: Path) -> str | None:
    """Return advice to use ImageNet weights if the starter weights were used on clearly larger images, else None."""
    path = root / VALIDATION_SUMMARY
    if not path.is_file() or params.load(root / "params.yaml").backbone.weights != "starter":
        return None
    side = json.loads(path.read_text(encoding="utf-8"))["median_side"]
    if side < STARTER_LIMIT:
        return None
    return (
        f"the images are about {side:g} pixels wide, but the starter weights are made for {STARTER_SIDE} and have "
        "never seen a photograph. `graft train --set backbone.weights=imagenet` downloads weights that have: a few MB "
        "to some hundred MB, see `graft backbones`."
    )


def table(root: Path, outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Return one row for each stage: its name, how it ended, its seconds, and a figure from its metrics."""
    metrics = {EVALUATION: accuracy(root) or ""}
    return [
        {"stage": stage, "outcome": how, "seconds": round(seconds, 1), "metrics": metrics.get(stage, "")}
        for stage, how, seconds in outcomes
    ]


def headline(root: Path, outcomes: list[Outcome]) -> str:
    """Return one sentence that sums up the table."""
    ran = sum(outcome.how != "up to date" for outcome in outcomes)
    evaluated = any(outcome.stage == EVALUATION for outcome in outcomes)
    result = f" Test accuracy {accuracy(root)}." if evaluated else ""
    return f"{ran} stages ran, {len(outcomes) - ran} were up to date.{result}"
