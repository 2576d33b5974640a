"""The images that are set aside, and why."""

import pandas as pd

from tasks.common.errors import QuarantineKind


def judge_images(manifest: pd.DataFrame, min_side: int) -> pd.DataFrame:
    """Return the columns `kind` and `reason` for each row of the manifest, both None where the image is accepted.

    Set aside: files the scan could not use, images with a side below `min_side` pixels, the same bytes under two
    labels (all of them, because no one knows which label is right), and further copies of the same bytes (all but the
    first). The index is the manifest's.
    """
    verdicts = manifest[["kind", "reason"]].astype(object)
    verdicts = verdicts.where(verdicts.notna(), None)
    usable = verdicts["kind"].isna()
    small = usable & (manifest[["width", "height"]].min(axis=1) < min_side)
    verdicts.loc[small, "kind"] = QuarantineKind.TOO_SMALL
    verdicts.loc[small, "reason"] = f"a side is shorter than {min_side} pixels"
    candidates = manifest[usable & ~small]
    label_counts = candidates.groupby("sha256")["label"].transform("nunique")
    conflicting = candidates.index[label_counts > 1]
    for index in conflicting:
        same_bytes = candidates["sha256"] == candidates.loc[index, "sha256"]
        other = candidates[same_bytes & (candidates["label"] != candidates.loc[index, "label"])]["path"].iloc[0]
        verdicts.loc[index, "kind"] = QuarantineKind.CONFLICTING_LABEL
        verdicts.loc[index, "reason"] = f"the same image is {other}, of another class"
    agreed = candidates.drop(index=conflicting)
    first = agreed.groupby("sha256")["path"].transform("first")
    copies = agreed.index[agreed["path"] != first]
    verdicts.loc[copies, "kind"] = QuarantineKind.COPY
    verdicts.loc[copies, "reason"] = "copy of " + first[copies]
    return verdicts
