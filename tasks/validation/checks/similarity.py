"""Checks of images that look the same: in two classes, in two given splits, and within a class."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.common.errors import QuarantineKind
from tasks.common.params import Validation
from tasks.common.text import count, join, printable
from tasks.validation.checks.files import list_offenders
from tasks.validation.checks.phrases import quote
from tasks.validation.finding import Finding, Offender, Severity
from tasks.validation.frames import SPLITS, Frames, is_blank

# Two encodings of a picture differ by few bits of the 64 of their perceptual hashes, and by little else.
MAX_BITS = 4
MAX_DIFFERENCE = 0.02
MAX_RATIO = 1.05
# In larger groups, each image is compared with so many others, evenly spaced.
MAX_COMPARED = 2000
MAX_PAIRS = 5


def check_near_duplicates(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find images that look the same as one of another class; near-duplicates within a class are a note."""
    images = _without_blank(frames.accepted, params)
    partners = find_partners(images, "label")
    advice = "If a pair is the same picture, keep it in the right class alone."
    findings = _report_pairs(images, partners, "label", "class", Finding("near_duplicates", severity, "", advice))
    return findings + _note_groups(frames.accepted)


def check_leakage(frames: Frames, params: Validation, severity: Severity) -> list[Finding]:
    """Find images of given splits that are, or look the same as, images of another split, and groups in two splits."""
    findings = []
    copies = frames.set_aside[frames.set_aside["kind"] == QuarantineKind.CONFLICTING_SPLIT]
    if len(copies):
        offenders = list_offenders(copies, copies["reason"])
        noun = count(len(copies), "file is", "files are")
        message = (
            f"{noun} in two given splits and set aside in one, such as {printable(copies['path'].iloc[0])}: "
            f"{printable(copies['reason'].iloc[0])}"
        )
        findings.append(Finding("leakage", severity, message, "Remove them from one of the splits.", offenders))
    images = frames.accepted[frames.accepted["given_split"].notna()]
    advice = "Results on test images are too good if the network was trained on the same pictures: move them together."
    pictures = _without_blank(images, params)
    pairs = find_partners(pictures, "split")
    findings += _report_pairs(pictures, pairs, "split", "split", Finding("leakage", severity, "", advice))
    grouped = images[images["given_group"].notna()]
    spanning = grouped[grouped.groupby("given_group")["split"].transform("nunique") > 1]
    if len(spanning):
        spanning = spanning.sort_values("given_group", kind="stable")
        names = spanning["given_group"].unique()
        splits = set(spanning["split"][spanning["given_group"] == names[0]])
        example = f"{quote(names[0])} ({join([split for split in SPLITS if split in splits])})"
        noun = count(len(names), "group has", "groups have")
        such = f", such as {example}" if len(names) > 1 else f": {example}"
        offenders = list_offenders(spanning, "group " + spanning["given_group"])
        message = f"{noun} images in more than one given split{such}"
        findings.append(Finding("leakage", severity, message, "Give all images of a group the same split.", offenders))
    return findings


def find_partners(images: pd.DataFrame, column: str) -> pd.Series:
    """Return, for each image that looks the same as one with another value of `column`, the index of the most similar.

    Candidates share a group of near-duplicates or a perceptual hash. They must differ by at most MAX_BITS of the hash,
    and have about the same brightness, contrast and shape, where these are known.
    """
    pairs: dict[int, int] = {}
    for key in ("group", "phash"):
        candidates = images[images[key].notna() & images["phash"].notna()]
        candidates = candidates[candidates.groupby(key)[column].transform("nunique") > 1]
        values = _comparable(candidates, column)
        index = candidates.index.to_numpy()
        for positions in candidates.groupby(key).indices.values():
            members, nearest = _nearest(values, np.asarray(positions))
            pairs |= dict(zip(index[members].tolist(), index[nearest].tolist(), strict=True))
    return pd.Series(pairs, dtype="int64").sort_index()


def _comparable(images: pd.DataFrame, column: str) -> dict[str, npt.NDArray[Any]]:
    shape = (images["width"] / images["height"]).to_numpy(float)
    return {
        "code": pd.factorize(images[column])[0],
        "phash": images["phash"].to_numpy(np.uint64),
        "brightness": images["brightness"].to_numpy(float, na_value=np.nan),
        "contrast": images["contrast"].to_numpy(float, na_value=np.nan),
        "shape": np.log(shape),
    }


def _nearest(
    values: dict[str, npt.NDArray[Any]], members: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the members of a group that have a look-alike with another code, and the nearest of these for each."""
    step = -(-len(members) // MAX_COMPARED)
    others = members[::step]
    matched, nearest = [], []
    for start in range(0, len(members), MAX_COMPARED):
        block = members[start : start + MAX_COMPARED]
        pair = block[:, None], others[None, :]
        bits = np.bitwise_count(values["phash"][pair[0]] ^ values["phash"][pair[1]]).astype(np.int64)
        is_alike = (bits <= MAX_BITS) & (values["code"][pair[0]] != values["code"][pair[1]])
        for name, limit in (
            ("brightness", MAX_DIFFERENCE),
            ("contrast", MAX_DIFFERENCE),
            ("shape", np.log(MAX_RATIO)),
        ):
            # A comparison with an unknown value is false.
            is_alike &= ~(np.abs(values[name][pair[0]] - values[name][pair[1]]) > limit)
        bits[~is_alike] = 99
        has_partner = is_alike.any(axis=1)
        matched.append(block[has_partner])
        nearest.append(others[bits.argmin(axis=1)[has_partner]])
    return np.concatenate(matched), np.concatenate(nearest)


def _report_pairs(images: pd.DataFrame, partners: pd.Series, column: str, noun: str, finding: Finding) -> list[Finding]:
    """Return a finding for each two values of `column` that share pictures, those with most pictures first."""
    if partners.empty:
        return []
    own = images.loc[partners.index, column].to_numpy(object)
    other = images.loc[partners, column].to_numpy(object)
    pairs = pd.DataFrame({"image": partners.index, "partner": partners.to_numpy(), "own": own, "other": other})
    pairs["first"], pairs["second"] = np.minimum(own, other), np.maximum(own, other)
    findings = []
    counts = pairs.groupby(["first", "second"]).size().sort_values(ascending=False, kind="stable")
    for first, second in counts.index[:MAX_PAIRS]:
        both = pairs[(pairs["first"] == first) & (pairs["second"] == second)]
        # The sentence counts the pictures of the side that comes first in the alphabet.
        side = both[both["own"] == first] if (both["own"] == first).any() else both
        subject, object_ = side.iloc[0]["own"], side.iloc[0]["other"]
        offenders = _alternate(images, side)
        message = (
            f"{count(len(side), 'picture')} of {noun} {quote(subject)} "
            f"{'looks' if len(side) == 1 else 'look'} the same as {'one' if len(side) == 1 else 'pictures'} of {noun} "
            f"{quote(object_)}, such as {printable(offenders[0].path)} and {printable(offenders[1].path)}"
        )
        findings.append(finding._replace(message=message, offenders=offenders))
    others = len(counts) - MAX_PAIRS
    if others > 0:
        message = f"pictures look the same in {count(others, 'more pair')} of {noun}{'es' if noun == 'class' else 's'}"
        findings.append(finding._replace(message=message))
    return findings


def _alternate(images: pd.DataFrame, pairs: pd.DataFrame) -> list[Offender]:
    """Return each image followed by its partner, an image at most once."""
    order = pairs[["image", "partner"]].to_numpy().ravel()
    partner = pairs[["partner", "image"]].to_numpy().ravel()
    table = pd.DataFrame({"image": order, "partner": partner}).drop_duplicates("image")
    files = images.loc[table["image"]]
    paths = images.loc[table["partner"], "path"].to_numpy(object)
    return list_offenders(files, pd.Series("looks the same as " + paths, index=files.index, dtype=object))


def _note_groups(images: pd.DataFrame) -> list[Finding]:
    images = images[images["group"].notna() & images["given_group"].isna()]
    sizes = images.groupby(["group", "label"])["path"].transform("size")
    members = images[sizes > 1]
    if members.empty:
        return []
    members = members.assign(size=sizes).sort_values(["size", "group", "label"], ascending=[False, True, True])
    groups = members.groupby(["group", "label"]).ngroups
    offenders = list_offenders(members, "group " + members["group"].astype("int64").astype(str))
    message = (
        f"{len(members):,} of {count(len(images), 'image')} have a near-duplicate in their class "
        f"({count(groups, 'group')}, the largest of {sizes.max():,}); the images of a group share a split"
    )
    advice = "Nothing needs to be done, unless a class lacks images in a split: then see dataset.near_duplicates."
    return [Finding("near_duplicates", "note", message, advice, offenders)]


def _without_blank(images: pd.DataFrame, params: Validation) -> pd.DataFrame:
    # The perceptual hash of a picture of one colour is that of any other.
    return images[~is_blank(images, params.min_contrast)]
