from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.validation.quarantine import is_copy, reasons


def manifest(*rows: tuple[str, str, int | None, int | None, str | None]) -> pd.DataFrame:
    """Return a manifest of rows of path, sha256, width, height and reason; the class is the first folder."""
    frame = pd.DataFrame(rows, columns=["path", "sha256", "width", "height", "reason"])
    return frame.assign(label=frame["path"].str.split("/").str[0])


def told(*rows: tuple[str, str, int | None, int | None, str | None], min_side: int = 4) -> list[Any]:
    found = reasons(manifest(*rows), min_side)
    return [None if pd.isna(reason) else reason for reason in found]


def test_good_images_stay() -> None:
    assert told(("a/1", "x", 4, 4, None), ("b/1", "y", 400, 4, None)) == [None, None]


@pytest.mark.parametrize(("width", "height"), [(3, 9), (9, 3), (1, 1)])
def test_an_image_with_a_short_side_is_set_aside(width: int, height: int) -> None:
    rows = ("a/1", "x", width, height, None), ("b/1", "y", 4, 4, None)
    assert told(*rows) == ["a side is shorter than 4 pixels", None]


def test_the_reason_of_the_scan_is_kept() -> None:
    rows = ("a/1", "x", None, None, "the file is empty"), ("a/2", None, None, None, "lies in no class folder")
    assert told(*rows, ("b/1", "y", 4, 4, None)) == ["the file is empty", "lies in no class folder", None]


def test_of_the_same_bytes_in_one_class_the_first_stays() -> None:
    rows = [(f"a/{number}", "x", 9, 9, None) for number in range(3)]
    assert told(*rows, ("b/1", "y", 9, 9, None)) == [None, "copy of a/0", "copy of a/0", None]


def test_of_the_same_bytes_in_two_classes_none_stays_and_each_names_another() -> None:
    rows = ("a/1", "x", 9, 9, None), ("a/2", "x", 9, 9, None), ("b/1", "x", 9, 9, None), ("b/2", "y", 9, 9, None)
    assert told(*rows) == [
        "the same image is b/1, of another class",
        "the same image is b/1, of another class",
        "the same image is a/1, of another class",
        None,
    ]


def test_files_that_cannot_be_used_are_neither_copies_nor_conflicts() -> None:
    empty = "the file is empty"
    rows = ("a/1", "x", None, None, empty), ("a/2", "x", None, None, empty), ("b/1", "x", None, None, empty)
    assert told(*rows) == [empty] * 3
    small = [(f"{label}/1", "x", 2, 2, None) for label in "ab"]
    assert told(*small) == ["a side is shorter than 4 pixels"] * 2


def test_only_mere_copies_do_not_count_against_the_dataset() -> None:
    frame = manifest(
        ("a/1", "x", 9, 9, None),
        ("a/2", "x", 9, 9, None),
        ("a/3", "z", 9, 9, None),
        ("b/1", "z", 9, 9, None),
        ("b/2", "q", None, None, "damaged: x"),
    )
    assert is_copy(reasons(frame, 4)).tolist() == [False, True, False, False, False]


ROWS = st.tuples(st.sampled_from("abc"), st.sampled_from("uvwxyz"), st.integers(1, 9), st.sampled_from([None, "bad"]))


@given(st.lists(ROWS, min_size=1, max_size=25))
def test_what_stays_is_usable_unlike_each_other_and_of_one_opinion(drawn: list[tuple[str, str, int, Any]]) -> None:
    frame = manifest(*((f"{label}/{n}", sha, side, 9, why) for n, (label, sha, side, why) in enumerate(drawn)))
    found = reasons(frame, 4)
    kept, usable = frame[found.isna()], frame[frame["reason"].isna() & (frame["width"] >= 4)]
    assert found.index.equals(frame.index)
    assert kept["sha256"].is_unique
    opinions = usable.groupby("sha256")["label"].agg(set)
    assert set(kept["sha256"]) == set(opinions[opinions.str.len() == 1].index)
