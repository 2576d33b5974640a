import pandas as pd
import pytest

from tasks.common.errors import QuarantineKind
from tasks.common.params import Params
from tasks.validation.frames import summarise, to_frame
from tests.tasks.validation.manifests import frame_rows, image, images, to_table, unusable

EMPTY_FOLDER = unusable("empty/", QuarantineKind.EMPTY_FOLDER, "the folder holds no files")


def test_every_class_has_its_counts_of_accepted_images_and_labels_without_pictures_are_no_classes(
    settings: Params,
) -> None:
    rows = [*images("a", 6), image("b/1.jpg", split="val"), image("b/tiny.jpg", width=2), EMPTY_FOLDER]
    rows += [
        unusable("c/1.jpg", QuarantineKind.DAMAGED, "damaged: cut"),
        unusable("1.jpg", QuarantineKind.NO_CLASS, "loose"),
    ]
    rows += [unusable("notes/1.txt", QuarantineKind.OTHER_FILE, "no image")]
    frame = frame_rows(rows, settings).classes
    assert frame.columns.tolist() == ["label", "train", "val", "test", "images"]
    assert frame.to_numpy().tolist() == [
        ["a", 4, 1, 1, 6],
        ["b", 0, 1, 0, 1],
        ["c", 0, 0, 0, 0],
        ["empty", 0, 0, 0, 0],
    ]


def test_the_files_are_parted_into_accepted_images_and_those_set_aside(settings: Params) -> None:
    frames = frame_rows([image("a/1.jpg"), image("a/tiny.jpg", width=2)], settings)
    assert frames.accepted["path"].tolist() == ["a/1.jpg"]
    assert frames.set_aside[["path", "kind", "reason"]].to_numpy().tolist() == [
        ["a/tiny.jpg", QuarantineKind.TOO_SMALL, "a side is shorter than 4 pixels"]
    ]
    assert frames.shares == {"train": pytest.approx(0.7), "val": 0.15, "test": 0.15}


def test_large_integers_stay_exact_beside_nulls() -> None:
    number = 2**64 - 1
    frame = to_frame(to_table([image("a/1.jpg", phash=number), image("a/2.jpg", phash=None)]))
    assert frame["phash"].tolist() == [number, pd.NA]


def test_the_summary_counts_images_and_gives_the_median_of_their_shorter_sides() -> None:
    accepted = pd.DataFrame({"width": [640, 30, 100], "height": [480, 200, 90]})
    assert summarise(accepted) == {"images": 3, "median_side": 90.0}
    assert summarise(accepted.head(0)) == {"images": 0, "median_side": 0.0}
