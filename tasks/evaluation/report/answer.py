"""The first part of the page: how good the model is, in sentences and beside two baselines, and warnings of the run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tasks.common.text import count, printable
from tasks.evaluation.baselines import Baseline
from tasks.evaluation.inputs import Inputs
from tasks.evaluation.report.wording import name_classes, span, state_small
from tasks.evaluation.slices import Slice

# A class with fewer test images has an interval of recall of about half the scale or more.
FEW_IMAGES = 5
MAX_WARNINGS = 20


class Row(NamedTuple):
    """A classifier with its accuracy and macro F1, 0..1; `low` and `high` are the ends of an interval or None."""

    name: str
    accuracy: float
    low: float | None
    high: float | None
    macro_f1: float


class AnswerPart(NamedTuple):
    """The part. `rows` are the exported file and the baselines, and `warnings` those of the stages after validation."""

    accuracy: float
    low: float
    high: float
    macro_f1: float
    macro_f1_low: float
    macro_f1_high: float
    level: str
    images: int
    rows: list[Row]
    sentences: list[str]
    warnings: list[str]
    more_warnings: int


def describe_answer(
    metrics: Mapping[str, Any],
    classes: Sequence[Mapping[str, Any]],
    baselines: Sequence[Baseline],
    weak: Sequence[Slice],
    warnings: Sequence[str],
) -> AnswerPart:
    """Return the part.

    Args:
        metrics: content of metrics.json.
        classes: rows of classes.csv.
        baselines: simple classifiers on the same test images.
        weak: classes that are recognised clearly less often than the others.
        warnings: sentences of the stages after validation.
    """
    accuracy, low, high = (metrics[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))
    rows = [
        Row("this model", accuracy, low, high, metrics["macro_f1"]),
        *(Row(_name(item), item.accuracy.before, None, None, item.macro_f1) for item in baselines),
    ]
    return AnswerPart(
        accuracy,
        low,
        high,
        metrics["macro_f1"],
        metrics["macro_f1_low"],
        metrics["macro_f1_high"],
        f"{100 * metrics['confidence']:g} %",
        metrics["images"],
        rows,
        [_expectation(metrics), *_gain(baselines), *_classes(classes, weak)],
        list(warnings[:MAX_WARNINGS]),
        max(0, len(warnings) - MAX_WARNINGS),
    )


def read_warnings(inputs: Inputs) -> list[str]:
    """Return the warnings in the summaries of the stages `head`, `finetuning` and `export`, if they wrote any."""
    warnings = []
    for folder in (inputs.head, inputs.finetuning, inputs.export):
        file = folder / "summary.json"
        if file.exists():
            warnings += [f"{folder.name}: {text}" for text in json.loads(file.read_text(encoding="utf-8"))["warnings"]]
    return warnings


def _name(baseline: Baseline) -> str:
    if baseline.name == "majority":
        return f"always '{printable(baseline.detail)}'"
    return "logistic regression on 16x16 pixels"


def _expectation(metrics: Mapping[str, Any]) -> str:
    """Say how many of a hundred new pictures will be wrong."""
    images, wrong = metrics["images"], round(metrics["images"] * (1 - metrics["accuracy"]))
    best, worst = 100 * (1 - metrics["accuracy_high"]), 100 * (1 - metrics["accuracy_low"])
    if wrong == 0:
        return (
            f"{_all_of(images)} right. Of 100 new pictures like these, up to {_number(worst)} may still be wrong: "
            f"{count(images, 'test image')} cannot say less."
        )
    return (
        f"About {_number(100 * wrong / images)} of 100 new pictures like these will be wrong, and between "
        f"{_number(best)} and {_number(worst)} are plausible ({count(wrong, 'mistake')} in "
        f"{count(images, 'test image')})."
    )


def _all_of(images: int) -> str:
    return "The only test image is" if images == 1 else f"All {images:,} test images are"


def _number(figure: float) -> str:
    """Return a number for a sentence: whole, or with one digit if it is below 1."""
    return f"{figure:.1f}" if 0 < round(figure, 1) < 1 else f"{figure:.0f}"


def _gain(baselines: Sequence[Baseline]) -> list[str]:
    """Say how much better the model is than logistic regression on pixels."""
    gain = next((item.accuracy for item in baselines if item.name == "pixels"), None)
    if gain is None:
        return []
    change, low, high = 100 * gain.change, 100 * gain.low, 100 * gain.high
    if low > 0:
        text = f"The pretrained network gains {change:.1f} points ({low:.1f} to {high:.1f}) over logistic regression"
        return [f"{text} on small pixels."]
    if high < 0:
        text = f"Logistic regression on small pixels is better, by {-change:.1f} points ({-high:.1f} to {-low:.1f})"
        return [f"{text}: the pretrained network does not suit these images."]
    text = "The pretrained network is not clearly better than logistic regression on small pixels"
    return [f"{text}: {change:+.1f} points ({low:+.1f} to {high:+.1f})."]


def _classes(classes: Sequence[Mapping[str, Any]], weak: Sequence[Slice]) -> list[str]:
    """Say which classes have too few test images, and which are recognised clearly less often than the others."""
    sentences = []
    if few := state_small({row["class"]: row["images"] for row in classes}, FEW_IMAGES):
        sentences.append(f"{few[0]} too few test images to say ({few[1]}).")
    if weak:
        ordered = sorted(weak, key=lambda row: (row.accuracy, row.value))
        verb = "is" if len(weak) == 1 else "are"
        recalls = span(round(100 * ordered[0].accuracy), round(100 * ordered[-1].accuracy))
        names = name_classes([row.value for row in ordered])
        sentences.append(f"{names} {verb} recognised clearly less often than the others ({recalls} %).")
    return sentences
