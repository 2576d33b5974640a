"""Plain sentences about what validation found, with the names of classes and files."""

from pathlib import PurePosixPath

import pandas as pd

from tasks.common.errors import QuarantineKind
from tasks.common.params import Validation
from tasks.validation.frames import NOT_COUNTED, SPLITS


def describe_classes(classes: pd.DataFrame, set_aside: pd.DataFrame, params: Validation) -> dict[str, str]:
    """Return a sentence for each expectation about classes that does not hold.

    `classes` is the frame of classes, `set_aside` has the columns path, label, kind and reason. The keys are columns of
    `classes`, and `label` for the number of classes.
    """
    findings = {}
    if len(classes) < params.min_classes:
        names = ", ".join(f"'{printable(label)}'" for label in classes["label"])
        noun = "class" if len(classes) == 1 else "classes"
        findings["label"] = f"the dataset has {len(classes)} {noun} ({names or 'none'}), needs {params.min_classes}"
    small = classes[classes["images"] < params.min_images_per_class]
    if len(small):
        sentences = [
            _describe_small_class(label, images, set_aside[set_aside["label"] == label], params.min_images_per_class)
            for label, images in zip(small["label"], small["images"], strict=True)
        ]
        findings["images"] = "; ".join(sentences)
    for split in SPLITS:
        lacking = classes.loc[(classes[split] == 0).fillna(value=False), "label"]
        if len(lacking):
            findings[split] = "; ".join(f"class '{printable(label)}' has no {split} images" for label in lacking)
    if classes["times_smallest"].max() > params.max_class_ratio:
        with_images = classes[classes["images"] > 0]
        largest = with_images.iloc[int(with_images["images"].argmax())]
        smallest = with_images.iloc[int(with_images["images"].argmin())]
        findings["times_smallest"] = (
            f"class '{printable(largest['label'])}' has {largest['images']:,} images, {largest['times_smallest']:.3g} "
            f"times the {smallest['images']:,} of class '{printable(smallest['label'])}', more than "
            f"{params.max_class_ratio:g} times"
        )
    return findings


def describe_images(manifest: pd.DataFrame, set_aside: pd.DataFrame, params: Validation) -> dict[str, str]:
    """Return a sentence for the files that cannot be used, and one for files of the same content, where there are any.

    The keys are columns of the frame of images.
    """
    findings = {}
    counted = manifest.drop(index=set_aside.index[set_aside["kind"].isin(NOT_COUNTED)])
    unusable = set_aside[~set_aside["kind"].isin(NOT_COUNTED)]
    if len(unusable):
        findings["set_aside"] = (
            f"{len(unusable):,} of {len(counted):,} pictures cannot be used, the share may be at most "
            f"{params.max_unusable_fraction:g}: {'; '.join(list_reasons(unusable))}"
        )
    same = counted[counted["sha256"].notna() & counted["sha256"].duplicated(keep=False)]
    if len(same):
        example = same[same["sha256"] == same["sha256"].iloc[0]]["path"]
        findings["sha256"] = (
            f"{len(same):,} files have the same content as another, such as "
            f"{' and '.join(printable(path) for path in example.iloc[:2])}"
        )
    return findings


def list_reasons(set_aside: pd.DataFrame) -> list[str]:
    """Return a phrase for each kind, the most frequent first: the kind, its count, one file and the reason of that."""
    counts = set_aside["kind"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    phrases = []
    for kind, count in counts.items():
        example = set_aside[set_aside["kind"] == kind].iloc[0]
        phrases.append(
            f"{_words(kind)} ({count:,}), such as {printable(example['path'])}: {printable(example['reason'])}"
        )
    return phrases


def describe_set_aside(set_aside: pd.DataFrame) -> list[str]:
    """Return a sentence for the other files by suffix and one for the rest by kind, where there are any."""
    others = set_aside["kind"] == QuarantineKind.OTHER_FILE
    sentences = []
    if others.any():
        suffixes = set_aside.loc[others, "path"].map(lambda path: PurePosixPath(path).suffix.lower() or "no suffix")
        noun = "file" if others.sum() == 1 else "files"
        sentences.append(f"{others.sum():,} other {noun} ignored: {_tally(suffixes)}")
    rest = set_aside.loc[~others, "kind"]
    if len(rest):
        sentences.append(f"{len(rest):,} set aside: {_tally(rest.map(_words))}")
    return sentences


def printable(text: str) -> str:
    """Return the text with escapes in the place of line ends and other characters that would disturb a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _describe_small_class(label: str, images: int, set_aside: pd.DataFrame, needed: int) -> str:
    noun = "image" if images == 1 else "images"
    sentence = f"class '{printable(label)}' has {images:,} usable {noun}, needs {needed:,}"
    if not len(set_aside):
        return sentence
    if (set_aside["kind"] == QuarantineKind.EMPTY_FOLDER).all():
        return f"{sentence} ({set_aside['reason'].iloc[0]})"
    return f"{sentence} (set aside: {'; '.join(list_reasons(set_aside))})"


def _tally(values: pd.Series) -> str:
    counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return ", ".join(f"{printable(str(value))} ({count:,})" for value, count in counts.items())


def _words(kind: object) -> str:
    return str(kind).replace("_", " ")
