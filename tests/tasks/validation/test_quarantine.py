from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.common.errors import QuarantineKind
from tasks.validation.quarantine import judge_images

ACCEPTED = (None, None)
EMPTY = (QuarantineKind.EMPTY, "the file is empty")
SMALL = (QuarantineKind.TOO_SMALL, "a side is shorter than 4 pixels")

Verdict = tuple[QuarantineKind | None, str | None]


def manifest(*rows: tuple[str, str | None, int | None, int | None, Verdict]) -> pd.DataFrame:
    """Return a manifest of rows of path, sha256, width, height and the scan's verdict; the folder is the class."""
    frame = pd.DataFrame(
        [(*row, *verdict) for *row, verdict in rows], columns=["path", "sha256", "width", "height", "kind", "reason"]
    )
    return frame.assign(label=frame["path"].str.split("/").str[0], given_split=None)


def judge(*rows: tuple[str, str | None, int | None, int | None, Verdict]) -> list[Verdict]:
    return [(kind, reason) for kind, reason in judge_images(manifest(*rows), min_side=4).itertuples(index=False)]


def conflict(path: str) -> Verdict:
    return QuarantineKind.CONFLICTING_LABEL, f"the same image is {path}, of another class"


def test_good_images_are_accepted() -> None:
    assert judge(("a/1", "x", 4, 4, ACCEPTED), ("b/1", "y", 400, 4, ACCEPTED)) == [ACCEPTED, ACCEPTED]


@pytest.mark.parametrize(("width", "height"), [(3, 9), (9, 3), (1, 1)])
def test_an_image_with_a_short_side_is_set_aside(width: int, height: int) -> None:
    rows = ("a/1", "x", width, height, ACCEPTED), ("b/1", "y", 4, 4, ACCEPTED)
    assert judge(*rows) == [SMALL, ACCEPTED]


def test_the_verdict_of_the_scan_is_kept() -> None:
    loose: Verdict = (QuarantineKind.NO_CLASS, "lies in no class folder")
    rows = ("a/1", "x", None, None, EMPTY), ("a/2", None, None, None, loose)
    assert judge(*rows, ("b/1", "y", 4, 4, ACCEPTED)) == [EMPTY, loose, ACCEPTED]


def test_the_first_of_the_same_bytes_in_one_class_is_accepted() -> None:
    rows = [(f"a/{number}", "x", 9, 9, ACCEPTED) for number in range(3)]
    copy = (QuarantineKind.COPY, "copy of a/0")
    assert judge(*rows, ("b/1", "y", 9, 9, ACCEPTED)) == [ACCEPTED, copy, copy, ACCEPTED]


def test_all_of_the_same_bytes_in_two_classes_are_set_aside_and_each_names_another() -> None:
    shas = {"a/1": "x", "a/2": "x", "b/1": "x", "b/2": "y"}
    rows = [(path, sha, 9, 9, ACCEPTED) for path, sha in shas.items()]
    assert judge(*rows) == [conflict("b/1"), conflict("b/1"), conflict("a/1"), ACCEPTED]


def test_files_that_cannot_be_used_are_neither_copies_nor_conflicts() -> None:
    assert judge(*((path, "x", None, None, EMPTY) for path in ("a/1", "a/2", "b/1"))) == [EMPTY] * 3
    assert judge(*((path, "x", 2, 2, ACCEPTED) for path in ("a/1", "b/1"))) == [SMALL] * 2


def judge_given(*rows: tuple[str, str, str | None]) -> list[Verdict]:
    """Judge images by path, sha256 and given split."""
    frame = manifest(*((path, sha, 9, 9, ACCEPTED) for path, sha, _ in rows))
    frame = frame.assign(given_split=pd.Series([split for _, _, split in rows], dtype=object))
    return [(kind, reason) for kind, reason in judge_images(frame, min_side=4).itertuples(index=False)]


@pytest.mark.parametrize(("kept", "lost"), [("test", "val"), ("test", "train"), ("val", "train")])
def test_of_the_same_bytes_in_two_given_splits_the_less_protected_is_set_aside(kept: str, lost: str) -> None:
    conflicting = QuarantineKind.CONFLICTING_SPLIT, f"the same image is cat/2, of split {kept}"
    copy = QuarantineKind.COPY, "copy of cat/2"
    rows = [
        ("cat/1", "x", lost),
        ("cat/2", "x", kept),
        ("cat/3", "x", kept),
        ("cat/4", "x", None),
        ("cat/5", "y", lost),
    ]
    assert judge_given(*rows) == [conflicting, ACCEPTED, copy, copy, ACCEPTED]


def test_the_same_bytes_in_two_classes_are_set_aside_in_whatever_splits_they_are() -> None:
    assert judge_given(("a/1", "x", "train"), ("b/1", "x", "test")) == [conflict("b/1"), conflict("a/1")]


ROWS = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from("uvwxyz"),
    st.integers(1, 9),
    st.sampled_from([ACCEPTED, (QuarantineKind.DAMAGED, "damaged: bad")]),
)


@settings(max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=25))
def test_accepted_images_are_usable_differ_from_each_other_and_have_one_label(
    drawn: list[tuple[str, str, int, Any]],
) -> None:
    frame = manifest(*((f"{label}/{n}", sha, side, 9, verdict) for n, (label, sha, side, verdict) in enumerate(drawn)))
    verdicts = judge_images(frame, min_side=4)
    accepted, usable = frame[verdicts["kind"].isna()], frame[frame["reason"].isna() & (frame["width"] >= 4)]
    assert verdicts.index.equals(frame.index)
    assert verdicts["kind"].isna().equals(verdicts["reason"].isna())
    assert accepted["sha256"].is_unique
    labels = usable.groupby("sha256")["label"].agg(set)
    assert set(accepted["sha256"]) == set(labels[labels.str.len() == 1].index)
