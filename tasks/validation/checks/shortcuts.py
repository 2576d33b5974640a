"""The check of shortcuts: properties of files from which a network may guess the class without seeing the subject."""

import pandas as pd

from tasks.common.params import Validation
from tasks.common.text import count, join
from tasks.validation.checks.phrases import MAX_SENTENCES, quote
from tasks.validation.finding import Finding, Severity
from tasks.validation.frames import Frames

# Classes with fewer images give too little evidence.
LEAST_IMAGES = 10
NEARLY_ALL = 0.95


def check_shortcuts(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find classes that a network can tell by the format, the size or the greyness of their files alone."""
    del params
    images = frames.accepted
    sizes = images["width"].astype(str) + " x " + images["height"].astype(str)
    colours = images["is_grey"].map({True: "grey", False: "in colour"})
    properties = {"format": images["format"], "size": sizes, "colour": colours}
    findings = []
    for name, values in properties.items():
        known = pd.DataFrame({"label": images["label"], "value": values}).dropna()
        if known.empty:
            continue
        per_class = known["label"].value_counts()
        counts = known.groupby(["label", "value"]).size().rename("images").reset_index()
        counts["of"] = counts["label"].map(per_class)
        elsewhere = counts.groupby("value")["images"].transform("sum") - counts["images"]
        is_telling = (
            (counts["of"] >= LEAST_IMAGES)
            & (counts["images"] >= NEARLY_ALL * counts["of"])
            & (elsewhere <= (1 - NEARLY_ALL) * (len(known) - counts["of"]))
            & (len(known) > counts["of"])
        )
        telling = counts[is_telling]
        if telling.empty:
            continue
        phrases = [
            f"class {quote(row['label'])} is {row['value']} ({row['images']:,} of {row['of']:,})"
            for row in telling.head(MAX_SENTENCES).to_dict("records")
        ]
        others = len(telling) - len(phrases)
        phrases += [count(others, "more class", "more classes")] if others else []
        message = f"the {name} tells classes apart: {join(phrases)}, the others are not"
        if len(telling) == len(per_class):
            message = message.removesuffix(", the others are not")
        advice = f"A network may learn the {name} instead of the content: prepare the images of all classes alike."
        findings.append(Finding("shortcuts", severity, message, advice, labels=telling["label"].tolist()))
    return findings
