"""A comparison in lines of text, and as a document for programs."""

from collections.abc import Iterator
from typing import Any

from tasks.calibration.difference import Difference
from tasks.common.text import count, join, printable
from tasks.comparison.comparison import Comparison, percent, points

MAX_CLASSES = 5
MAX_PARAMS = 10
MAX_VALUE = 40


def figures(comparison: Comparison) -> list[tuple[str, str, str, str, str]]:
    """Return the rows of the figures: name, older and newer value, difference in points, interval."""
    rows = (("accuracy", comparison.accuracy), ("macro F1", comparison.macro_f1))
    return [(name, *_percentages(difference)) for name, difference in rows]


def remarks(comparison: Comparison) -> list[str]:
    """Return what must be known beside the figures, each in a sentence."""
    pairs, before, after = comparison.pairs, printable(comparison.before), printable(comparison.after)
    sentences = []
    if comparison.trained_on:
        sentences.append(
            f"{count(comparison.trained_on, 'test image')} of {after} left out: {before} was trained on "
            f"{'it' if comparison.trained_on == 1 else 'them'}."
        )
    counted = [f"{count(pairs.only_before, 'test image')} of {before} alone"] if pairs.only_before else []
    if others := pairs.only_after - comparison.trained_on:
        counted.append(f"{count(others, 'test image')} of {after} alone")
    if counted:
        sentences.append(f"Not compared: {join(counted)}.")
    if pairs.relabelled:
        images = count(pairs.relabelled, "image")
        sentences.append(f"{images} with another label in {before}: the label of {after} counts.")
    f1 = comparison.macro_f1
    if f1.high < 0 and comparison.verdict != "worse":
        sentences.append("Macro F1 fell by more than chance explains: rare classes are recognised less often.")
    return sentences


def changed_images(comparison: Comparison) -> str:
    """Return the numbers of images that changed sides and the p-value, in a sentence without a period."""
    return (
        f"{len(comparison.newly_right):,} newly right, {len(comparison.newly_wrong):,} newly wrong "
        f"(McNemar's exact test: p = {comparison.p_value:.2g})"
    )


def changed_classes(comparison: Comparison) -> tuple[list[str], list[str]]:
    """Return the classes that improved most and those that fell most, each with its difference in recall."""
    ordered = sorted(comparison.classes, key=lambda change: (-change.change, change.name))
    texts = [(change.change, f"'{printable(change.name)}' {points(change.change)}") for change in ordered]
    improved = [text for change, text in texts if change > 0]
    fell = [text for change, text in reversed(texts) if change < 0]
    return improved, fell


def changed_params(comparison: Comparison) -> list[str]:
    """Return the params that differ, each as its key with both values."""
    return [f"{printable(key)} {shown(before)} -> {shown(after)}" for key, before, after in comparison.params]


def shown(value: object) -> str:
    """Return a value of params.yaml as text of limited length."""
    text = "null" if value is None else printable(str(value).lower() if isinstance(value, bool) else str(value))
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def text_lines(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of a summary on a terminal that follow the table of the figures."""
    improved, fell = changed_classes(comparison)
    rows = (
        ("images", [changed_images(comparison)], 1),
        ("improved", improved, MAX_CLASSES),
        ("fell", fell, MAX_CLASSES),
        ("params", changed_params(comparison), MAX_PARAMS),
    )
    for name, texts, limit in rows:
        if texts:
            more = f" and {len(texts) - limit:,} more" if len(texts) > limit else ""
            yield f"{name:<10}{', '.join(texts[:limit])}{more}"
    yield from remarks(comparison)


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the verdict and its figures for a program; shares are in 0..1, paths and classes are left out."""

    def values(difference: Difference) -> dict[str, float]:
        return {**difference._asdict(), "change": difference.change}

    return {
        "before": comparison.before,
        "after": comparison.after,
        "verdict": comparison.verdict,
        "headline": comparison.headline(),
        "images": len(comparison.pairs.paths),
        "newly_right": len(comparison.newly_right),
        "newly_wrong": len(comparison.newly_wrong),
        "p_value": comparison.p_value,
        "confidence": comparison.confidence,
        "accuracy": values(comparison.accuracy),
        "macro_f1": values(comparison.macro_f1),
        "trained_on": comparison.trained_on,
    }


def _percentages(difference: Difference) -> tuple[str, str, str, str]:
    interval = f"{points(difference.low)} to {points(difference.high)}"
    return percent(difference.before), percent(difference.after), points(difference.change), interval
