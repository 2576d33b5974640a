"""The results of a run, read from the files that its stages wrote."""

import csv
import html
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from flows.dvc import Outcome
from tasks.common import params
from tasks.common.hashing import hash_file
from tasks.common.text import count, printable

REPORT = Path("artifacts/evaluation/report.html")
MODEL = Path("artifacts/export/model.onnx")
VALIDATION_REPORT = Path("artifacts/validation/report.html")
VALIDATION_SUMMARY = Path("artifacts/validation/summary.json")
CHANGES = Path("artifacts/validation/changes.json")
MANIFEST = Path("artifacts/dataset/manifest.parquet")
METRICS = Path("artifacts/evaluation/metrics.json")
CLASS_METRICS = Path("artifacts/evaluation/classes.csv")
VALIDATION = VALIDATION_SUMMARY.parent.name
EVALUATION = METRICS.parent.name
# Each writes a summary.json with a `headline` and `warnings`.
SUMMED_UP = ("head", "finetuning", "export")

FEW_TEST_IMAGES = 5
MAX_WARNINGS = 10

STARTER_SIDE = 64
STARTER_LIMIT = 2 * STARTER_SIDE


def result(root: Path) -> str | None:
    """Return the test accuracy with its interval and the macro F1 as text, or None before the first evaluation."""
    if not (root / METRICS).is_file():
        return None
    metrics = json.loads((root / METRICS).read_text(encoding="utf-8"))
    low, high = metrics["accuracy_low"] * 100, metrics["accuracy_high"] * 100
    interval = (
        f"{metrics['confidence'] * 100:g} % interval {low:.1f} to {high:.1f}, {count(metrics['images'], 'image')}"
    )
    return f"{metrics['accuracy'] * 100:.1f} % ({interval}), macro F1 {metrics['macro_f1'] * 100:.1f} %"


def warnings(root: Path, stages: Collection[str] = (VALIDATION, *SUMMED_UP, EVALUATION)) -> list[str]:
    """Return the warnings that the outputs of these stages give cause for, each on one line.

    They are those of the validation, of the stages SUMMED_UP and of the evaluation, then the classes of which no test
    image was recognised, then the classes with fewer than FEW_TEST_IMAGES test images. After MAX_WARNINGS of a kind,
    one line counts the others.
    """
    texts = []
    if VALIDATION in stages:
        texts += _shorten(_texts(root, VALIDATION, "warnings"), "of the validation")
        texts += _shorten(changes(root, "warnings"), "about changes")
    for stage in SUMMED_UP:
        if stage in stages:
            texts += _shorten(_texts(root, stage, "warnings"), f"of the stage {stage}")
    if EVALUATION in stages:
        texts += _shorten(_texts(root, EVALUATION, "warnings"), f"of the stage {EVALUATION}")
        unrecognised, rare = _class_warnings(root)
        texts += _shorten(unrecognised, "about classes with recall 0")
        texts += _shorten(rare, f"about classes with fewer than {FEW_TEST_IMAGES} test images")
    return texts


def notes(root: Path) -> list[str]:
    """Return what is worth knowing of the data and no warning: the notes of the validation, and what changed."""
    differences = [f"since the last run: {'; '.join(lines)}"] if (lines := changes(root)) else []
    return _shorten(_texts(root, VALIDATION, "notes"), "of the validation") + differences


def changes(root: Path, kind: str = "lines") -> list[str]:
    """Return the differences from the data of the last run (`lines`), or the large ones (`warnings`).

    The file lies outside of what DVC tracks, so it counts only if it is about the manifest that is here.
    """
    if not (root / CHANGES).is_file() or not (root / MANIFEST).is_file():
        return []
    document = json.loads((root / CHANGES).read_text(encoding="utf-8"))
    is_current = document["manifest"] == hash_file(root / MANIFEST)
    return [printable(text) for text in document[kind]] if is_current else []


def starter_notice(root: Path) -> str | None:
    """Return advice to use ImageNet weights if the starter weights were used on clearly larger images, else None."""
    path = root / VALIDATION_SUMMARY
    if not path.is_file() or params.load(root / "params.yaml").backbone.weights != "starter":
        return None
    side = json.loads(path.read_text(encoding="utf-8"))["median_side"]
    if side < STARTER_LIMIT:
        return None
    return (
        f"the images are about {side:g} pixels on their shorter side, but the starter weights are made for "
        f"{STARTER_SIDE} and have never seen a photograph. `graft train --set backbone.weights=imagenet` downloads "
        "weights that have: a few MB to some hundred MB, see `graft backbones`."
    )


def table(root: Path, outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Return one row for each stage: its name, how it ended, its seconds, and a figure from its metrics."""
    metrics = {EVALUATION: result(root) or ""} | {stage: stage_headline(root, stage) or "" for stage in SUMMED_UP}
    return [
        {"stage": stage, "outcome": how, "seconds": round(seconds, 1), "metrics": metrics.get(stage, "")}
        for stage, how, seconds in outcomes
    ]


def headline(root: Path, outcomes: list[Outcome]) -> str:
    """Return one sentence that sums up the table."""
    ran = sum(outcome.how != "up to date" for outcome in outcomes)
    evaluated = any(outcome.stage == EVALUATION for outcome in outcomes)
    ending = f" Test accuracy {result(root)}." if evaluated else ""
    return f"{ran} stages ran, {len(outcomes) - ran} were up to date.{ending}"


def description(root: Path, outcomes: list[Outcome]) -> str:
    """Return the headline and a list of the warnings of these stages, as Markdown."""
    texts = warnings(root, {outcome.stage for outcome in outcomes})
    listed = "".join(f"\n- warning: {html.escape(text, quote=False)}" for text in texts)
    return headline(root, outcomes) + (f"\n{listed}" if listed else "")


def stage_headline(root: Path, stage: str) -> str | None:
    """Return the sentence in which a stage in SUMMED_UP sums up its result, or None before its first run."""
    text = _summary(root, stage).get("headline")
    return None if text is None else printable(text)


def _texts(root: Path, stage: str, kind: str) -> list[str]:
    return [printable(text) for text in _summary(root, stage).get(kind, [])]


def _summary(root: Path, stage: str) -> dict[str, Any]:
    path = root / "artifacts" / stage / "summary.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _class_warnings(root: Path) -> tuple[list[str], list[str]]:
    """Return the warnings about classes with recall 0, and about other classes with few test images."""
    if not (root / CLASS_METRICS).is_file():
        return [], []
    unrecognised, rare = [], []
    with (root / CLASS_METRICS).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name, images = printable(row["class"]), int(row["images"])
            if images == 0:
                rare.append(f"class '{name}' has no test images")
            elif float(row["recall"]) == 0:
                unrecognised.append(f"class '{name}' has recall 0 over {count(images, 'test image')}")
            elif images < FEW_TEST_IMAGES:
                rare.append(f"class '{name}' has only {count(images, 'test image')}")
    return unrecognised, rare


def _shorten(texts: list[str], kind: str) -> list[str]:
    """Return at most MAX_WARNINGS of the texts, and a count of the others."""
    others = len(texts) - MAX_WARNINGS
    return texts[:MAX_WARNINGS] + ([f"{others:,} more {kind}"] if others > 0 else [])
