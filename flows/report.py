"""What a run has to show for itself, read from the files that its stages wrote."""

import json
from pathlib import Path
from typing import Any

from flows.stage import Outcome

MODEL = Path("artifacts/export/model.onnx")
VALIDATION_REPORT = Path("artifacts/validation/docs/index.html")
METRICS = Path("artifacts/evaluation/metrics.json")


def accuracy(root: Path) -> str | None:
    """Return the test accuracy with its interval as text, or None before the first evaluation."""
    if not (root / METRICS).is_file():
        return None
    found = json.loads((root / METRICS).read_text(encoding="utf-8"))
    low, high = found["accuracy_low"] * 100, found["accuracy_high"] * 100
    interval = f"{found['confidence'] * 100:g} % interval {low:.1f} to {high:.1f}"
    return f"{found['accuracy'] * 100:.1f} % ({interval}, {found['images']:,} images)"


def table(root: Path, outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Return a row a stage: its name, how it ended, seconds, and what its metrics say."""
    told = {"evaluation": accuracy(root) or ""}
    return [
        {"stage": one.stage, "outcome": one.how, "seconds": round(one.seconds, 1), "metrics": told.get(one.stage, "")}
        for one in outcomes
    ]


def headline(root: Path, outcomes: list[Outcome]) -> str:
    """Return one sentence over the table."""
    ran = sum(outcome.how != "up to date" for outcome in outcomes)
    reached = f" Test accuracy {accuracy(root)}." if outcomes and outcomes[-1].stage == "evaluation" else ""
    return f"{ran} stages ran, {len(outcomes) - ran} were up to date.{reached}"
