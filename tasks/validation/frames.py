"""The data frames that the expectations are about: one of images, one of classes; and a summary of the images."""

import html

import pandas as pd

from tasks.common.errors import QuarantineKind


def image_frame(manifest: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the manifest without mere copies; the column `set_aside` has the reason or is null.

    Copies say nothing against a dataset; only files that cannot be used count at the gate.
    """
    frame = manifest.drop(columns=["kind", "reason", "phash", "group"]).assign(set_aside=verdicts["reason"])
    frame = frame.loc[verdicts["kind"] != QuarantineKind.COPY].copy()
    # Great Expectations writes values into its pages as they are, and file names come from anywhere.
    for column in ("path", "label", "set_aside"):
        frame[column] = frame[column].map(html.escape, na_action="ignore")
    return frame


def class_frame(accepted: pd.DataFrame) -> pd.DataFrame:
    """Return a row a class: usable images, those of each split, and how many times the smallest class it is."""
    counts = pd.crosstab(accepted["label"], accepted["split"]).reindex(columns=["train", "val", "test"], fill_value=0)
    counts = counts.rename_axis(columns=None).assign(images=counts.sum(axis=1)).reset_index()
    return counts.assign(times_smallest=counts["images"] / counts["images"].min())


def summarise(accepted: pd.DataFrame) -> dict[str, int | float]:
    """Return the number of accepted images, and the median of their shorter sides in pixels; 0 without images."""
    sides = accepted[["width", "height"]].min(axis=1)
    return {"images": len(accepted), "median_side": float(sides.median()) if len(sides) else 0.0}
