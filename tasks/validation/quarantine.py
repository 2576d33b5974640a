"""The images that are set aside, and why."""

import pandas as pd

from tasks.common.errors import QuarantineKind
from tasks.validation.frames import SPLITS


def judge_images(manifest: pd.DataFrame, min_side: int) -> pd.DataFrame:
    """Return the columns `kind` and `reason` for each row of the manifest, both None where the image is accepted.

    Set aside: files the scan could not use, images with a side below `min_side` pixels, the same bytes under two
    labels (all of them, because no one knows which label is right), the same bytes in two given splits (those in the
    less protected split, train before val before test), and further copies of the same bytes. The index is the
    manifest's.
    """
    verdicts = manifest[["kind", "reason"]].astype(object)
    verdicts = verdicts.where(verdicts.notna(), None)
    usable = verdicts["kind"].isna()
    small = usable & (manifest[["width", "height"]].astype(float).min(axis=1) < min_side)
    verdicts.loc[small, "kind"] = QuarantineKind.TOO_SMALL
    verdicts.loc[small, "reason"] = f"a side is shorter than {min_side} pixels"
    candidates = manifest[usable & ~small]
    conflicting = _find_conflicts(candidates)
    verdicts.loc[conflicting.index, "kind"] = QuarantineKind.CONFLICTING_LABEL
    verdicts.loc[conflicting.index, "reason"] = "the same image is " + conflicting + ", of another class"

    agreed = candidates.drop(index=conflicting.index)
    protection = agreed["given_split"].map({split: rank for rank, split in enumerate(SPLITS)}).fillna(-1)
    by_protection = agreed.assign(protection=protection).sort_values("protection", ascending=False, kind="stable")
    kept = by_protection.groupby("sha256")[["path", "given_split"]].transform("first").loc[agreed.index]
    further = agreed["path"] != kept["path"]
    is_given = agreed["given_split"].notna()
    elsewhere = further & is_given & (agreed["given_split"] != kept["given_split"])
    copies = further & ~elsewhere
    verdicts.loc[copies.index[copies], "kind"] = QuarantineKind.COPY
    verdicts.loc[copies.index[copies], "reason"] = "copy of " + kept["path"][copies]
    verdicts.loc[elsewhere.index[elsewhere], "kind"] = QuarantineKind.CONFLICTING_SPLIT
    verdicts.loc[elsewhere.index[elsewhere], "reason"] = (
        "the same image is " + kept["path"][elsewhere] + ", of split " + kept["given_split"][elsewhere]
    )
    return verdicts


def _find_conflicts(candidates: pd.DataFrame) -> pd.Series:
    """Return, for each image whose bytes are in two classes, the path of one in another class."""
    labels = candidates.groupby("sha256")["label"]
    conflicting = candidates[labels.transform("nunique") > 1]
    first = conflicting.groupby("sha256")[["path", "label"]].transform("first")
    has_first_label = conflicting["label"] == first["label"]
    second = conflicting[~has_first_label].groupby("sha256")["path"].first()
    return first["path"].where(~has_first_label, conflicting["sha256"].map(second))
