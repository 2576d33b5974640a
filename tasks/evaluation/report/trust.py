"""The part of the page about the probabilities: are they right, what is called unknown, which thresholds hold."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from tasks.calibration.calibration_error import BINS
from tasks.common.text import count
from tasks.evaluation.reliability import Bin
from tasks.pages.charts import ACCENT, BAD, INK, SOFT, legend, new_chart, percent, to_svg

# Below it, a probability may be taken at its word for most uses.
SMALL_ERROR = 0.03
LARGE_ERROR = 0.1
# A bin of fewer images says nothing about its share.
MIN_IMAGES = 10


class TrustPart(NamedTuple):
    """The part: sentences, two charts, and the rows of operating_points.csv."""

    sentences: list[str]
    curve: Markup
    histogram: Markup
    points: Sequence[Mapping[str, Any]]
    level: str


def describe_trust(metrics: Mapping[str, Any], bins: Sequence[Bin], points: Sequence[Mapping[str, Any]]) -> TrustPart:
    """Return the part from the content of metrics.json, the bins of the calibration curve and the operating points."""
    level = f"{100 * metrics['confidence']:g} %"
    return TrustPart(_sentences(metrics, bins), _draw_curve(bins), _draw_histogram(bins), points, level)


def _sentences(metrics: Mapping[str, Any], bins: Sequence[Bin]) -> list[str]:
    error = metrics["calibration_error"]
    if error <= SMALL_ERROR:
        meaning = "it may be read as the chance to be right"
    elif error <= LARGE_ERROR:
        meaning = "it is roughly the chance to be right"
    else:
        meaning = "it gives the order of pictures, but not the chance to be right"
    sentences = [f"A probability is off by {100 * error:.1f} points on average: {meaning}."]
    off = [
        item
        for item in bins
        if item.images >= MIN_IMAGES and not item.right_share_low <= item.probability <= item.right_share_high
    ]
    if off:
        item = max(off, key=lambda item: item.images)
        word = "too low" if item.right_share > item.probability else "too high"
        sentences.append(
            f"Probabilities of {100 * item.low:.0f} to {100 * item.high:.0f} % are {word}: "
            f"{100 * item.right_share:.0f} % of {count(item.images, 'image')} are right."
        )
    if metrics.get("unknown") is not None:
        sentences.append(
            f"{100 * metrics['unknown']:.1f} % of the test images ({100 * metrics['unknown_low']:.1f} to "
            f"{100 * metrics['unknown_high']:.1f} %) are called unknown, since they resemble the training images too "
            "little."
        )
    if metrics.get("coverage") is not None:
        sentences.append(
            f"Sets of {metrics['set_size']:.2f} classes on average contain the right one for "
            f"{100 * metrics['coverage']:.1f} % of the test images ({100 * metrics['coverage_low']:.1f} to "
            f"{100 * metrics['coverage_high']:.1f} %)."
        )
    return sentences


def _draw_curve(bins: Sequence[Bin]) -> Markup:
    figure, (axis,) = new_chart(4.2, 3.2)
    axis.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9, linestyle="--")
    for item in bins:
        axis.plot([item.probability] * 2, [item.right_share_low, item.right_share_high], color=ACCENT, linewidth=1.2)
        axis.plot([item.probability], [item.right_share], color=ACCENT, marker="o")
    axis.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="probability of the predicted class", ylabel="share that is right")
    percent(axis, "x")
    percent(axis)
    words = "; ".join(f"{100 * item.probability:.0f} %: {100 * item.right_share:.0f} % right" for item in bins)
    return to_svg(figure, "calibration", f"Calibration curve, by probability: {words}")


def _draw_histogram(bins: Sequence[Bin]) -> Markup:
    figure, (axis,) = new_chart(4.2, 3.2)
    middles = [(item.low + item.high) / 2 for item in bins]
    width = 0.86 / BINS
    right, wrong = [item.right for item in bins], [item.images - item.right for item in bins]
    axis.bar(middles, right, width, color=ACCENT, label="right")
    axis.bar(middles, wrong, width, bottom=right, facecolor="none", edgecolor=BAD, hatch="////", label="wrong")
    axis.set(xlim=(0, 1.02), xlabel="probability of the predicted class", ylabel="test images")
    axis.tick_params(axis="y", labelcolor=INK)
    axis.grid(visible=False, axis="x")
    percent(axis, "x")
    legend(axis)
    words = "; ".join(
        f"{100 * item.low:.0f} to {100 * item.high:.0f} %: {item.right:,} right, {item.images - item.right:,} wrong"
        for item in bins
    )
    return to_svg(figure, "confidences", f"Test images by probability: {words}")
