"""The data frames that the checks are about: all files, the accepted images, and the classes."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from tasks.common.errors import QuarantineKind
from tasks.tables import manifest

SPLITS = list(manifest.SPLITS)
# Files of these kinds say nothing against a dataset; only pictures that cannot be used count.
NOT_COUNTED = [
    QuarantineKind.COPY,
    QuarantineKind.OTHER_FILE,
    QuarantineKind.EMPTY_FOLDER,
    QuarantineKind.NOT_LISTED,
    QuarantineKind.UNLABELLED,
    QuarantineKind.DROPPED,
    QuarantineKind.CONFLICTING_SPLIT,
    QuarantineKind.SPECIAL_FILE,
]
# A folder with files of these kinds alone is no class.
NOT_A_CLASS = [
    QuarantineKind.OTHER_FILE,
    QuarantineKind.NOT_LISTED,
    QuarantineKind.UNLABELLED,
    QuarantineKind.DROPPED,
    QuarantineKind.SPECIAL_FILE,
]

# Without these types, integers of a column with nulls would be rounded to floats.
NULLABLE = {
    pa.uint64(): pd.UInt64Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


class Frames(NamedTuple):
    """A dataset as the checks see it.

    `files` is the manifest with the verdict in `kind` and `reason`, both null where an image is accepted; `accepted`
    and `set_aside` are its two parts. `classes` has a row a class: label, train, val, test and images, all counts of
    accepted images. `shares` are the wanted shares of the splits.
    """

    files: pd.DataFrame
    accepted: pd.DataFrame
    set_aside: pd.DataFrame
    classes: pd.DataFrame
    shares: Mapping[str, float]


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return the manifest as a data frame with its exact numbers; no check is about the attributes."""
    return table.drop_columns(["attributes"]).to_pandas(types_mapper=NULLABLE.get)


def make_frames(rows: pd.DataFrame, verdicts: pd.DataFrame, val_fraction: float, test_fraction: float) -> Frames:
    """Return the frames of the rows of a manifest and the verdicts on them."""
    files = rows.assign(kind=verdicts["kind"], reason=verdicts["reason"])
    is_accepted = files["kind"].isna()
    shares = {"train": 1 - val_fraction - test_fraction, "val": val_fraction, "test": test_fraction}
    # Each accepted image has a size, and calculations with nulls would need more care.
    accepted = files[is_accepted].astype({"width": "int64", "height": "int64"})
    return Frames(files, accepted, files[~is_accepted], class_frame(files), shares)


def class_frame(files: pd.DataFrame) -> pd.DataFrame:
    """Return a row a class in the order of the names: `label`, the accepted images of each split, and `images`.

    Each label with a picture, usable or not, is a class, and so is an empty class folder.
    """
    labels = sorted(set(files["label"][~files["kind"].isin(NOT_A_CLASS)]) - {""})
    accepted = files[files["kind"].isna()]
    counts = pd.crosstab(accepted["label"], accepted["split"]).reindex(index=labels, columns=SPLITS, fill_value=0)
    counts = counts.assign(images=counts.sum(axis=1)).astype("int64")
    return counts.rename_axis(index="label", columns=None).reset_index()


def is_blank(images: pd.DataFrame, min_contrast: float) -> pd.Series:
    """Say of each image whether it is nearly of a single colour; an unknown contrast says no."""
    return (images["contrast"] < min_contrast).fillna(value=False).astype(bool)


def summarise(accepted: pd.DataFrame) -> dict[str, int | float]:
    """Return the number of accepted images, and the median of their shorter sides in pixels; 0 without images."""
    sides = accepted[["width", "height"]].min(axis=1)
    return {"images": len(accepted), "median_side": float(sides.median()) if len(sides) else 0.0}
