"""The part of the page about the training: choice of the head, depths, fine-tuning, and the worth of more images."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from tasks.common.files import require
from tasks.common.text import count
from tasks.evaluation.inputs import Inputs
from tasks.evaluation.learning_curve import Gain, LearningCurve
from tasks.pages.charts import ACCENT, SERIES, SOFT, legend, new_chart, percent, to_svg
from tasks.pages.rendering import clip

MAX_CANDIDATES = 60
LABEL_CHARACTERS = 28
# Gains below it, in points, are no reason to take more pictures.
SMALL_GAIN = 0.05

Row = Mapping[str, str]


class Chart(NamedTuple):
    """A chart with its heading and the sentence below it."""

    title: str
    text: str
    svg: Markup


class TrainingPart(NamedTuple):
    """The part: sentences, charts, and the rows of candidates.csv, the best of each kind first and then all.

    `more` is the number of candidates that are left out.
    """

    sentences: list[str]
    kinds: list[Row]
    candidates: list[Row]
    more: int
    charts: list[Chart]


def describe_training(inputs: Inputs, curve: LearningCurve | None, confidence: float) -> TrainingPart:
    """Return the part from the outputs of the stages `head` and `finetuning`, and the learning curve.

    Raises:
        GraftError: An input is missing.
    """
    choice = json.loads(require(inputs.head / "choice.json", "head").read_text(encoding="utf-8"))
    tuning = json.loads(require(inputs.finetuning / "metrics.json", "finetuning").read_text(encoding="utf-8"))
    candidates = _read(inputs.head / "candidates.csv")
    charts = [
        _draw_depths(_read(inputs.head / "depth.csv")),
        _draw_curve(curve, confidence),
        _draw_history("Training of the head", "head", _read(inputs.head / "history.csv")),
        _draw_history("Fine-tuning", "finetuning", _read(inputs.finetuning / "history.csv")),
        _draw_mixtures(_read(inputs.finetuning / "mixtures.csv"), tuning.get("mixture")),
    ]
    return TrainingPart(
        [choice["reason"].replace("+-", "±"), *_describe_tuning(tuning), *describe_gains(curve)],
        _best_of_kinds(candidates),
        candidates[:MAX_CANDIDATES],
        max(0, len(candidates) - MAX_CANDIDATES),
        [chart for chart in charts if chart is not None],
    )


def describe_gains(curve: LearningCurve | None) -> list[str]:
    """Say in a sentence for each number of additional images how much they would bring."""
    if curve is None:
        return ["There are too few images to say whether more would help."]
    measured = [point for point in curve.points if not point.extrapolated]
    if measured[-1].error == 0:
        return ["The test images cannot say whether more images would help: a quick classifier has all of them right."]
    return [_describe_gain(gain, curve) for gain in curve.gains]


def _describe_gain(gain: Gain, curve: LearningCurve) -> str:
    now = max(point.images for point in curve.points if not point.extrapolated)
    images = f"{gain.images:.0f} more images a class" if gain.images != now else "Twice as many images"
    change, low, high = 100 * gain.gain, 100 * gain.low, 100 * gain.high
    if high < SMALL_GAIN:
        return f"{images} would hardly change the accuracy (at most {high:.2f} points)."
    digits = 1 if change >= 1 else 2
    return f"{images} would bring about {change:.{digits}f} points of accuracy ({low:.{digits}f} to {high:.{digits}f})."


def _describe_tuning(tuning: Mapping[str, Any]) -> list[str]:
    if not tuning:
        return ["Fine-tuning was off: the pretrained network is unchanged."]
    figures = f"log loss {tuning['val_loss']:.3f}, {tuning['head_val_loss']:.3f} without it"
    if tuning["mixture"] == 0:
        return ["Fine-tuning was tried, and was not clearly better than the head alone, which stays."]
    if tuning["mixture"] == 1:
        return [f"The fine-tuned network is used alone ({figures} on the validation images)."]
    share = f"{100 * tuning['mixture']:.0f} %"
    return [f"A mixture with {share} of the fine-tuned network is used ({figures} on the validation images)."]


def _read(file: Path) -> list[Row]:
    """Return the rows of a table, none if the stage did not write it."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _best_of_kinds(candidates: Sequence[Row]) -> list[Row]:
    """Return the first row of each kind, in the order of the table, and the chosen one."""
    kinds: dict[str, Row] = {}
    for row in candidates:
        kinds.setdefault(row["kind"], row)
    return [row for row in candidates if row["chosen"] or kinds[row["kind"]] is row]


def _draw_depths(rows: Sequence[Row]) -> Chart | None:
    if not rows:
        return None
    figure, (axis,) = new_chart(6.0, 0.9 + 0.3 * len(rows))
    labels = [_name_taps(row["tap"]) for row in rows]
    places = range(len(rows), 0, -1)
    for place, row in zip(places, rows, strict=True):
        is_choice = row["tap"].startswith("choice: ")
        accuracy, error = float(row["accuracy"]), float(row["standard_error"])
        axis.plot([accuracy - error, accuracy + error], [place, place], color=ACCENT, linewidth=1.2)
        axis.plot([accuracy], [place], color=ACCENT, marker="D" if is_choice else "o")
    axis.set_yticks(list(places), labels)
    axis.grid(visible=False, axis="y")
    percent(axis, "x")
    words = "; ".join(f"{label}: {100 * float(row['accuracy']):.1f} %" for label, row in zip(labels, rows, strict=True))
    return Chart(
        "Accuracy by depth",
        "Features of layers of the pretrained network, from the first to the last, alone and joined, with standard "
        "errors; the diamond is the choice.",
        to_svg(figure, "depths", f"Accuracy by depth: {words}"),
    )


def _name_taps(text: str) -> str:
    """Return the name of a row of depth.csv: a layer, or the number of layers that are joined."""
    layers = text.removeprefix("choice: ").split("+")
    name = clip(layers[0], LABEL_CHARACTERS) if len(layers) == 1 else f"{len(layers)} layers joined"
    return f"choice: {name}" if text.startswith("choice: ") else name


def _draw_curve(curve: LearningCurve | None, confidence: float) -> Chart | None:
    if curve is None:
        return None
    figure, (axis,) = new_chart(6.0, 3.2)
    measured = [point for point in curve.points if not point.extrapolated]
    last = measured[-1]
    guessed = [last, *(point for point in curve.points if point.extrapolated)]
    axis.fill_between(
        [point.images for point in measured],
        [1 - point.error_high for point in measured],
        [1 - point.error_low for point in measured],
        color=ACCENT,
        alpha=0.15,
        linewidth=0,
    )
    for points, style, label in ((measured, SERIES[0], "measured"), (guessed, SERIES[1], "extrapolated")):
        axis.plot([point.images for point in points], [1 - point.error for point in points], label=label, **style)
    axis.set_xscale("log")
    ticks = [point.images for point in [*measured, guessed[-1]]]
    axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks], minor=False)
    axis.set_xticks([], minor=True)
    axis.set(xlabel="images a class, for training and validation", ylabel="accuracy")
    percent(axis)
    legend(axis)
    words = "; ".join(f"{point.images:.0f} images: {100 * (1 - point.error):.1f} %" for point in curve.points)
    return Chart(
        "Accuracy by number of images",
        f"A quick classifier on the same features, fitted on random parts of the images, with {100 * confidence:g} % "
        "intervals. The extrapolation assumes that the curve keeps its form.",
        to_svg(figure, "learning-curve", f"Accuracy by images a class: {words}"),
    )


def _draw_history(title: str, name: str, rows: Sequence[Row]) -> Chart | None:
    """Draw the accuracy by epoch or, where the training did not measure it, the loss."""
    if not rows:
        return None
    has_accuracy = any(row["train_accuracy"] or row["val_accuracy"] for row in rows)
    measure = "accuracy" if has_accuracy else "loss"
    figure, (axis,) = new_chart(6.0, 2.8)
    series = (("train", "training images", SERIES[0]), ("val", "validation images", SERIES[1]))
    for split, label, style in series:
        points = [(int(row["epoch"]), float(row[f"{split}_{measure}"])) for row in rows if row[f"{split}_{measure}"]]
        if points:
            options = style | {"marker": ""} if len(points) > 1 else style
            axis.plot([epoch for epoch, _ in points], [value for _, value in points], label=label, **options)
    axis.set(xlabel="epoch", ylabel=measure)
    if has_accuracy:
        percent(axis)
    legend(axis)
    words = f"{title}: {measure} over {count(len(rows), 'epoch')}"
    return Chart(title, f"{measure.capitalize()} after each epoch.", to_svg(figure, f"history-{name}", words))


def _draw_mixtures(rows: Sequence[Row], chosen: float | None) -> Chart | None:
    if not rows or chosen is None:
        return None
    figure, (axis,) = new_chart(6.0, 2.8)
    shares = [float(row["mixture"]) for row in rows]
    losses = [float(row["log_loss"]) for row in rows]
    errors = [float(row["standard_error"]) for row in rows]
    axis.fill_between(
        shares,
        [loss - error for loss, error in zip(losses, errors, strict=True)],
        [loss + error for loss, error in zip(losses, errors, strict=True)],
        color=ACCENT,
        alpha=0.15,
        linewidth=0,
    )
    axis.plot(shares, losses, **(SERIES[0] | {"marker": ""}))
    best = min(range(len(shares)), key=lambda place: abs(shares[place] - chosen))
    axis.plot([shares[best]], [losses[best]], color=ACCENT, marker="D")
    axis.axhline(losses[0], color=SOFT, linewidth=0.9, linestyle="--")
    axis.set(xlabel="share of the fine-tuned network", ylabel="log loss, validation images")
    percent(axis, "x")
    ends = f"{losses[0]:.3f} at 0 %, {losses[best]:.3f} at {100 * chosen:.0f} %"
    words = f"Log loss by share of the fine-tuned network: {ends}"
    return Chart(
        "Mixtures of head and fine-tuned network",
        "Lower is better. The band is the standard error of the difference to the head alone, the dashed line; the "
        "diamond is the choice.",
        to_svg(figure, "mixtures", words),
    )
