"""The data frames that the expectations are about: one of images, one of classes; and a summary of the images."""

import html

import pandas as pd

from tasks.common.errors import QuarantineKind

SPLITS = ["train", "val", "test"]
NOT_COUNTED = [QuarantineKind.COPY, QuarantineKind.OTHER_FILE, QuarantineKind.EMPTY_FOLDER]


def image_frame(manifest: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the manifest without copies, other files and empty folders; `set_aside` has the reason or is null.

    They say nothing against a dataset; only pictures that cannot be used count at the gate.
    """
    frame = manifest.drop(columns=["kind", "reason", "phash", "group"]).assign(set_aside=verdicts["reason"])
    frame = frame.loc[~verdicts["kind"].isin(NOT_COUNTED)].copy()
    # Great Expectations writes values into its pages as they are, and file names come from anywhere.
    for column in ("path", "label", "set_aside"):
        frame[column] = frame[column].map(html.escape, na_action="ignore")
    return frame


def class_frame(manifest: pd.DataFrame, is_accepted: pd.Series) -> pd.DataFrame:
    """Return a row a class: usable images, those of each split, and how many times the smallest class it is.

    Every class that the manifest names has a row. Without usable images, its splits are null, so that only the number
    of images counts against it, and it is no measure for the others.
    """
    labels = sorted(set(manifest["label"]) - {""})
    accepted = manifest[is_accepted]
    counts = pd.crosstab(accepted["label"], accepted["split"]).reindex(index=labels, columns=SPLITS, fill_value=0)
    images = counts.sum(axis=1)
    has_images = images > 0
    smallest = images[has_images].min() if has_images.any() else 1
    counts = counts.astype("Int64").where(has_images, axis=0)
    counts = counts.assign(images=images, times_smallest=images / smallest)
    return counts.rename_axis(index="label", columns=None).reset_index()


def summarise(accepted: pd.DataFrame) -> dict[str, int | float]:
    """Return the number of accepted images, and the median of their shorter sides in pixels; 0 without images."""
    sides = accepted[["width", "height"]].min(axis=1)
    return {"images": len(accepted), "median_side": float(sides.median()) if len(sides) else 0.0}
