"""Checks of the classes: their number and sizes, and their images in each split."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tasks.common.errors import QuarantineKind, did_you_mean
from tasks.common.params import Validation
from tasks.common.text import count, join, printable
from tasks.validation.checks.phrases import MAX_SENTENCES, join_labels, list_reasons, quote, tally_suffixes
from tasks.validation.finding import Finding, Severity
from tasks.validation.frames import NOT_A_CLASS, SPLITS, Frames

# A difference of shares is reported if chance makes a larger one in less than three of a thousand classes.
DEVIATIONS = 3
ADD_IMAGES = "Add images of the class, or leave the class out."


def check_class_count(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find too few classes; and folders that are no classes, because they hold no pictures."""
    labels = frames.classes["label"].tolist()
    findings = []
    if len(labels) < params.min_classes:
        message = (
            f"the dataset has {count(len(labels), 'class', 'classes')} ({join_labels(labels) or 'none'}), "
            f"needs {params.min_classes}"
        )
        findings.append(Finding("classes", severity, message, "Add a folder of images for each class."))
    ignored = frames.set_aside[frames.set_aside["kind"].isin(NOT_A_CLASS)]
    ignored = ignored[(ignored["label"] != "") & ~ignored["label"].isin(labels)]
    sentences = []
    for label, files in ignored.groupby("label", sort=True):
        if (files["kind"] == QuarantineKind.OTHER_FILE).all():
            reason = f"it holds no pictures, only {count(len(files), 'other file')}: {tally_suffixes(files['path'])}"
        else:
            reason = f"it holds no pictures to use; {'; '.join(list_reasons(files))}"
        sentences.append((f"{quote(str(label))} is no class: {reason}", str(label)))
    return findings + list_findings("classes", "warning", sentences, "Check that the folder holds the images you mean.")


def check_expected_classes(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find classes that are expected and missing, and classes that are not expected."""
    if params.expected_classes is None:
        return []
    labels = frames.classes["label"]
    missing = sorted(set(params.expected_classes) - set(labels))
    unexpected = sorted(set(labels) - set(params.expected_classes))
    parts = [f"expected {join_labels(missing)}, which the dataset lacks"] if missing else []
    parts += [f"found {join_labels(unexpected)}, not expected"] if unexpected else []
    if not parts:
        return []
    advice = "Correct the folders, or validation.expected_classes."
    for label in missing:
        if hint := did_you_mean(label, map(printable, unexpected)):
            advice += f" {quote(label)}:{hint}"
            break
    return [Finding("expected_classes", severity, f"classes: {'; '.join(parts)}", advice)]


def check_images_per_class(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find classes with too few usable images, the smallest first."""
    small = frames.classes[frames.classes["images"] < params.min_images_per_class]
    small = small.sort_values("images", kind="stable")
    sentences = []
    for label, images in zip(small["label"], small["images"], strict=True):
        sentence = f"class {quote(label)} has {count(images, 'usable image')}, needs {params.min_images_per_class:,}"
        sentences.append((sentence + _name_causes(frames.set_aside[frames.set_aside["label"] == label]), label))
    return list_findings("images_per_class", severity, sentences, ADD_IMAGES)


def check_splits(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find classes without training, validation or test images, with the cause.

    A class that has too few images in all is reported for that alone.
    """
    needed = params.min_images_per_class if params.checks.images_per_class == "blocking" else 1
    classes = frames.classes[frames.classes["images"] >= needed]
    classes = classes[(classes[SPLITS] == 0).any(axis=1)]
    findings = []
    for row in classes.head(MAX_SENTENCES).to_dict("records"):
        lacking = [split for split in SPLITS if not row[split]]
        cause, advice = _explain_splits(frames.accepted[frames.accepted["label"] == row["label"]])
        message = f"class {quote(row['label'])} has no {join(lacking, 'or')} images{cause}"
        findings.append(Finding("splits", severity, message, advice, labels=[row["label"]]))
    others = classes["label"].tolist()[MAX_SENTENCES:]
    if others:
        message = f"{count(len(others), 'more class lacks', 'more classes lack')} images in a split: "
        advice = "Add images to these classes."
        findings.append(Finding("splits", severity, message + join_labels(others), advice, labels=others))
    return findings


def check_split_shares(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find classes whose share of a split is far from the wanted share, more than chance explains.

    Wanted are the fractions of the params; for a class with given splits, the shares of all images that have one.
    """
    accepted = frames.accepted
    given = accepted[accepted["given_split"].notna()]
    given_shares = {split: float((given["given_split"] == split).mean()) for split in SPLITS}
    classes_with_given = set(given["label"])
    sentences = []
    # The check of the splits reports classes that lack one.
    for row in frames.classes[(frames.classes[SPLITS] > 0).all(axis=1)].to_dict("records"):
        wanted = given_shares if row["label"] in classes_with_given else frames.shares
        parts = []
        for split in SPLITS:
            share = row[split] / row["images"]
            chance = DEVIATIONS * np.sqrt(wanted[split] * (1 - wanted[split]) / row["images"])
            if abs(share - wanted[split]) > max(params.max_share_difference, chance):
                parts.append(f"{row[split]:,} in {split} ({share:.0%}, wanted {wanted[split]:.0%})")
        if parts:
            sentences.append((row["label"], f"has {join(parts)} of {count(row['images'], 'image')}"))
    findings = []
    for label, phrase in sentences[:MAX_SENTENCES]:
        cause, advice = _explain_splits(accepted[accepted["label"] == label])
        findings.append(
            Finding("split_shares", severity, f"class {quote(label)} {phrase}{cause}", advice, labels=[label])
        )
    others = [label for label, _ in sentences[MAX_SENTENCES:]]
    if others:
        message = f"{count(len(others), 'more class has', 'more classes have')} other shares: {join_labels(others)}"
        findings.append(Finding("split_shares", severity, message, "Add images to these classes.", labels=others))
    return findings


def check_imbalance(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find a largest class that is too many times the smallest; classes without images do not count."""
    classes = frames.classes[frames.classes["images"] > 0].sort_values("images", kind="stable")
    if classes.empty or classes["images"].iloc[-1] <= params.max_class_ratio * classes["images"].iloc[0]:
        return []
    smallest, largest = classes.iloc[0], classes.iloc[-1]
    message = (
        f"class {quote(largest['label'])} has {largest['images']:,} images, "
        f"{largest['images'] / smallest['images']:.3g} times the {smallest['images']:,} of class "
        f"{quote(smallest['label'])}, more than {params.max_class_ratio:g} times"
    )
    advice = "Add images to the small class, and judge the model by the recall of each class, not by its accuracy."
    return [Finding("imbalance", severity, message, advice, labels=[smallest["label"]])]


def list_findings(check: str, severity: Severity, sentences: Iterable[tuple[str, str]], advice: str) -> list[Finding]:
    """Return a finding for each sentence about a class; after MAX_SENTENCES, one names the other classes."""
    pairs = list(sentences)
    findings = [Finding(check, severity, text, advice, labels=[label]) for text, label in pairs[:MAX_SENTENCES]]
    others = list(dict.fromkeys(label for _, label in pairs[MAX_SENTENCES:]))
    if others:
        message = f"the same holds for {count(len(others), 'more class', 'more classes')}: {join_labels(others)}"
        findings.append(Finding(check, severity, message, advice, labels=others))
    return findings


def _name_causes(set_aside: pd.DataFrame) -> str:
    if set_aside.empty:
        return ""
    if (set_aside["kind"] == QuarantineKind.EMPTY_FOLDER).all():
        return f" ({set_aside['reason'].iloc[0]})"
    # Files that were never meant to be pictures do not explain why pictures are lacking.
    pictures = set_aside[set_aside["kind"] != QuarantineKind.OTHER_FILE]
    return f" (set aside: {'; '.join(list_reasons(pictures))})" if len(pictures) else ""


def _explain_splits(images: pd.DataFrame) -> tuple[str, str]:
    """Return why the images of a class are where they are, as the end of a sentence, and the advice."""
    if images["given_split"].notna().all():
        present = [split for split in SPLITS if split in set(images["given_split"])]
        ending = f": its {count(len(images), 'image')} have given splits, {join(present)}"
        return ending, "Add images of the class to the other splits of the dataset."
    sizes = images["group"].value_counts()
    # Groups that are small against the class leave the splits room to be filled.
    if sizes.empty or sizes.iloc[0] == 1 or sizes.iloc[0] * 4 < len(images):
        return "", "Add images to the class."
    groups = count(len(sizes), "group")
    if images["given_group"].notna().any():
        ending = f": its {count(len(images), 'image')} are of {groups}, and a group shares a split"
        return ending, "Add images of other groups to the class."
    if len(sizes) == 1:
        ending = f": its {count(len(images), 'image')} are near-duplicates of each other (1 group)"
    else:
        ending = (
            f": {sizes.iloc[0]:,} of its {count(len(images), 'image')} are near-duplicates of each other "
            f"({groups} in all)"
        )
    return (
        f"{ending}, and a group shares a split",
        "Set dataset.near_duplicates to off or to fewer bits, or give the splits in folders.",
    )
