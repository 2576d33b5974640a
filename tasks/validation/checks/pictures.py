"""Checks of the pixels: size, shape, colour, brightness, sharpness and information.

The same faults as those of cleanvision, with its thresholds where they are absolute (its documentation names them).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from tasks.common.params import Validation
from tasks.common.text import count
from tasks.validation.checks.files import list_offenders
from tasks.validation.checks.phrases import examples
from tasks.validation.finding import Finding, Severity
from tasks.validation.frames import Frames, is_blank

# If more than this share of the pictures is odd, that is how the dataset is.
MOST = 0.5
# A picture is lower than a dataset of low ones if it is below this share of the median.
BELOW_MEDIAN = 0.5
# The quartile range of sizes counts at least as this factor between the quartiles.
LEAST_RANGE = 1.25
USUAL_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX"}


class _Wording(NamedTuple):
    """The check, how its pictures are called (`dark`), and what to do."""

    check: str
    adjective: str
    advice: str


def check_sizes(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find sizes far outside the quartiles: of the logarithm of the square root of the area, by size_factor ranges."""
    images = frames.accepted
    if images.empty:
        return []
    size = np.log(np.sqrt(images["width"] * images["height"].astype(float)))
    low, high = size.quantile(0.25), size.quantile(0.75)
    reach = params.size_factor * max(high - low, float(np.log(LEAST_RANGE)))
    excess = np.maximum(low - reach - size, size - high - reach)
    pixels = images["width"].astype(str) + " x " + images["height"].astype(str) + " pixels"
    side = float(np.exp(size.median()))
    details = pixels + f", the median is about {side:.0f} x {side:.0f}"
    wording = _Wording("sizes", "of an odd size", "Check whether they are thumbnails, icons or scans among photos.")
    return _report(images, excess, excess > 0, details, wording, severity)


def check_aspect_ratios(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find pictures whose longer side is max_aspect_ratio times the shorter, and so much longer than the median's."""
    images = frames.accepted
    sides = images[["width", "height"]].astype(float)
    ratio = sides.max(axis=1) / sides.min(axis=1)
    limit = params.max_aspect_ratio * max(1.0, float(ratio.median()) if len(ratio) else 1.0)
    details = ratio.map("{:.1f} times as long as wide".format)
    wording = _Wording("aspect_ratios", "very long and narrow", "The resize to a square squeezes them: crop them.")
    return _report(images, ratio, ratio > limit, details, wording, severity)


def check_modes(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find few grey pictures among pictures in colour, few in colour among grey ones, and rare modes such as CMYK."""
    images = frames.accepted
    findings = []
    known = images[images["is_grey"].notna()]
    is_grey = known["is_grey"].astype(bool)
    for mask, adjective, others in ((is_grey, "grey", "in colour"), (~is_grey, "in colour", "grey")):
        if 0 < mask.sum() < params.rare_fraction * len(known):
            advice = "Check that they belong to the dataset."
            wording = _Wording("modes", f"{adjective}, the others are {others}", advice)
            details = pd.Series(adjective, index=known.index)
            findings += _report(known, mask.astype(float), mask, details, wording, severity)
    modes = images["mode"].dropna()
    for mode in sorted(set(modes) - USUAL_MODES):
        mask = images["mode"] == mode
        if mask.sum() < params.rare_fraction * len(images):
            details = pd.Series(f"mode {mode}", index=images.index)
            wording = _Wording("modes", f"stored in mode {mode}", "Check their colours, or save them as RGB.")
            findings += _report(images, mask.astype(float), mask, details, wording, severity)
    return findings


def check_blank(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find pictures of a single colour, such as black or white ones."""
    images = frames.accepted[frames.accepted["contrast"].notna()]
    contrast = images["contrast"].astype(float)
    details = images["brightness"].map("one colour, brightness {:.2f}".format)
    wording = _Wording(
        "blank", "blank (nearly a single colour)", "Remove them, or save them with their full range of values."
    )
    return _report(images, -contrast, contrast < params.min_contrast, details, wording, severity, may_be_most=False)


def check_dark(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find pictures of which even the brightest hundredth is dark, or much darker than that of the dataset."""
    wording = _Wording("dark", "dark", "Check that they show something; remove them if not.")
    detail = "the brightest hundredth has brightness {:.2f}"
    return _find_low(frames, params, "highlights", params.min_highlights, severity, wording, detail.format)


def check_overexposed(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find pictures of which even the darkest twentieth is bright, or much brighter than that of the dataset."""
    wording = _Wording("overexposed", "overexposed", "Check that they show something; remove them if not.")

    def detail(darkness: float) -> str:
        return f"the darkest twentieth has brightness {1 - darkness:.2f}"

    accepted = frames.accepted
    inverted = frames._replace(accepted=accepted.assign(shadows=1 - accepted["shadows"].astype(float)))
    return _find_low(inverted, params, "shadows", 1 - params.max_shadows, severity, wording, detail)


def check_low_information(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find pictures with few different values, or much fewer than those of the dataset."""
    wording = _Wording("low_information", "low in information", "Check that they show something; remove them if not.")
    detail = "{:.1f} bits of information"
    return _find_low(frames, params, "entropy", params.min_entropy, severity, wording, detail.format)


def check_blurred(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find pictures that are far less sharp than the median picture, in relation to their contrast.

    The edges of a dark or pale picture are weak, however sharp it is.
    """
    images = _with_content(frames.accepted, params, "sharpness")
    sharpness = images["sharpness"].astype(float) / images["contrast"].astype(float)
    relative = sharpness / sharpness.median()
    details = relative.map("{:.0%} as sharp as the median picture".format)
    wording = _Wording("blurred", "blurred", "Check that the subject can be recognised; remove them if not.")
    return _report(images, -relative, relative < params.min_sharpness, details, wording, severity)


def _find_low(
    frames: Frames,
    params: Validation,
    column: str,
    limit: float,
    severity: Severity,
    wording: _Wording,
    detail: Callable[[float], str],
) -> list[Finding]:
    """Report values of a column below the limit; where most are, those below half of the median."""
    images = _with_content(frames.accepted, params, column)
    values = images[column].astype(float)
    findings = []
    if (values < limit).sum() > MOST * len(values):
        findings = _report(images, -values, values < limit, values.map(detail), wording, severity)
    lower = values < min(limit, BELOW_MEDIAN * float(values.median())) if len(values) else values < limit
    return _report(images, -values, lower, values.map(detail), wording, severity) + findings


def _with_content(images: pd.DataFrame, params: Validation, column: str) -> pd.DataFrame:
    """Return the images with a value in the column, without blank ones: these are reported as that alone."""
    return images[images[column].notna() & ~is_blank(images, params.min_contrast)]


def _report(
    images: pd.DataFrame,
    badness: pd.Series,
    is_odd: pd.Series,
    details: pd.Series,
    wording: _Wording,
    severity: Severity,
    *,
    may_be_most: bool = True,
) -> list[Finding]:
    """Return a finding about the odd images, the worst first, or a note if most images are odd."""
    number = int(is_odd.sum())
    if number == 0:
        return []
    message = f"{number:,} of {count(len(images), 'picture')} {'is' if number == 1 else 'are'} {wording.adjective}"
    if may_be_most and number > MOST * len(images):
        text = f"{message}: as most are, none is listed"
        return [Finding(wording.check, "note", text, "Check that this is how the dataset is meant to be.")]
    order = badness[is_odd].sort_values(ascending=False, kind="stable").index
    offenders = list_offenders(images.loc[order], details)
    return [Finding(wording.check, severity, message + examples(offenders), wording.advice, offenders)]
