"""Which images are set aside, and why."""

import pandas as pd


def reasons(manifest: pd.DataFrame, min_side: int) -> pd.Series:
    """Return for each row why its image is set aside, or None; the index is the manifest's.

    Set aside: files the scan could not use, images with a side below `min_side` pixels, the same bytes under two
    labels (all of them: no one knows which is right), and further copies of the same bytes (all but the first).
    """
    found = manifest["reason"].astype(object).where(manifest["reason"].notna(), None)
    usable = found.isna()
    small = usable & (manifest[["width", "height"]].min(axis=1) < min_side)
    found[small] = f"a side is shorter than {min_side} pixels"
    left = manifest[usable & ~small]
    labels = left.groupby("sha256")["label"].transform("nunique")
    conflicting = left.index[labels > 1]
    for index in conflicting:
        same = left[(left["sha256"] == left.loc[index, "sha256"]) & (left["label"] != left.loc[index, "label"])]
        found[index] = f"the same image is {same['path'].iloc[0]}, of another class"
    agreed = left.drop(index=conflicting)
    first = agreed.groupby("sha256")["path"].transform("first")
    copies = agreed.index[agreed["path"] != first]
    found[copies] = "copy of " + first[copies]
    return found


def is_copy(reason: pd.Series) -> pd.Series:
    """Return where the reason is a mere copy: set aside, but no sign of a bad dataset."""
    return reason.astype(str).str.startswith("copy of ")
